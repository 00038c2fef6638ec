"""Graders: the user's own functions that judge a response, `module:function` from Python's path or the working directory."""

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from modulefinder import ModuleFinder
from pathlib import Path

from aftune.answers import Verdict
from aftune.common.errors import UsageError
from aftune.records import Problem

Grader = Callable[[Problem, str], Verdict | bool]
_INSTALLED = ("site-packages", "dist-packages")


def load_grader(name: str) -> Grader:
    """The function that `module:function` names; raises UsageError where there is none."""
    module_name, _, function_name = name.partition(":")
    _look_here()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UsageError(f"task.options.grader: module {module_name!r} cannot be imported ({error}); check its name") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise UsageError(f"task.options.grader: module {module_name!r} has no function {function_name!r}; check its name")
    grader: Grader = function
    return grader


def grader_files(name: str) -> dict[str, Path]:
    """The Python files that a grader's verdicts come from, by name: its module's, and those beside it that it imports; of an
    installed package, all files. Nothing is run; empty where the module cannot be found or read."""
    module_name = name.partition(":")[0]
    _look_here()
    spec = find_spec(module_name.partition(".")[0])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return {}
    module = Path(spec.origin)
    is_package = module.name == "__init__.py"
    root = module.parent.parent if is_package else module.parent
    if root.name in _INSTALLED:
        paths = sorted(module.parent.rglob("*.py")) if is_package else [module]
    else:
        paths = _imported(module_name, root)
    return {f"grader {path.relative_to(root).as_posix()}": path for path in paths}


def _imported(module_name: str, root: Path) -> list[Path]:
    """The module's file, and those below `root` that it and they import."""
    finder = ModuleFinder(path=[str(root)])
    try:
        finder.import_hook(module_name)
    except (ImportError, SyntaxError):
        return []
    files = (getattr(module, "__file__", None) for module in finder.modules.values())
    return sorted(Path(file) for file in files if file)


def _look_here() -> None:
    """Lets Python find modules in the working directory, after all others."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
