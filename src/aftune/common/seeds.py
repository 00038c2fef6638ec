"""Seeds for every purpose, from the run's one seed."""

import hashlib


def derive_seed(*parts: object) -> int:
    """A 63-bit seed that depends on all parts; different parts give independent random streams."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
