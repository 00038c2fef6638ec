"""Optional dependencies: what to install where one is missing."""

from importlib.util import find_spec

from aftune.common.errors import UsageError


def needed(*modules: str, extra: str, purpose: str) -> None:
    """Raises UsageError unless all modules are installed. extra: of aftune, which installs them."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise UsageError(f"{purpose} needs {' and '.join(missing)}, not installed here; pip install 'aftune[{extra}]'")
