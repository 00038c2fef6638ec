"""Optional dependencies: what to install where one is missing."""

from importlib.util import find_spec

from aftune.common.errors import MissingPackageError


def needed(*modules: str, extra: str, purpose: str, otherwise: str = "") -> None:
    """Raises MissingPackageError unless all modules are installed. extra: of aftune, which installs them. otherwise: what can be
    done instead, as the end of a sentence."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        names, instead = " and ".join(missing), f", or {otherwise}" if otherwise else ""
        raise MissingPackageError(f"{purpose} needs {names}, not installed here; pip install 'aftune[{extra}]'{instead}")
