"""Errors: one hierarchy, each also of one of Python's kinds; a package that is missing is named with what installs it."""

import ast
import pickle
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftune import errors
from aftune.common.cluster import Places, Workers
from aftune.errors import AftuneError, MissingPackageError

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
CLASSES = [getattr(errors, name) for name in errors.__all__]
KINDS = {
    "UsageError": ValueError,
    "NotFoundError": FileNotFoundError,
    "MissingPackageError": ImportError,
    "DataError": ValueError,
    "MissingFileError": FileNotFoundError,
    "HubError": ConnectionError,
    "StageError": RuntimeError,
    "TrainingError": RuntimeError,
}


@pytest.mark.parametrize("error", CLASSES)
def test_each_is_an_aftune_error_and_survives_other_processes(error: type[AftuneError]) -> None:
    """The message is one line, and is the same after the way through a process pool."""
    made = error("a file:\nwhat is wrong")
    assert isinstance(made, AftuneError)
    for copy in (made, pickle.loads(pickle.dumps(made))):
        assert type(copy) is error
        assert str(copy) == "a file: what is wrong"


def test_each_is_of_the_kind_of_python_that_fits() -> None:
    assert {name for name, kind in KINDS.items() if not issubclass(getattr(errors, name), kind)} == set()
    assert not issubclass(errors.StageError, ValueError | OSError)
    assert all(issubclass(error, (ValueError, RuntimeError, OSError)) for error in CLASSES if error is not AftuneError)


def test_the_public_module_has_them_all_and_shows_the_tree() -> None:
    from aftune.common import errors as home

    own = {name for name, value in vars(home).items() if isinstance(value, type) and issubclass(value, AftuneError)}
    assert own == set(errors.__all__)
    assert set(re.findall(r"\b[A-Z]\w+Error\b", (errors.__doc__ or "").partition("Records are")[0])) >= own


# Raised where nobody but pydantic, Python or another function of aftune catches it.
INTERNAL = {
    "recipe/sections.py": {"ValueError", "PydanticCustomError"},  # in validators
    "records/types.py": {"ValueError"},  # in validators
    "__init__.py": {"AttributeError"},
    "answers/checker.py": {"TimedOut"},
    "common/interrupts.py": {"Interrupted"},
    "common/time_limit.py": {"OutOfTimeError"},
    "common/yaml_text.py": {"ConstructorError", "YAMLError"},
    "cli/launch.py": {"Exit", "Interrupted"},
    "cli/shared.py": {"Exit"},
    "cli/main.py": {"Exit"},
    "cli/task_commands.py": {"Exit"},
    "models/kernels/shared_prefix.py": {"NotImplementedError"},
    "sampling/openai/manner.py": {"RefusedError"},
    "sampling/openai/server.py": {"AssertionError", "PassingError", "RefusedError"},
}


def raised(path: Path) -> set[str]:
    """The classes that a file raises by name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
    called = [node.func if isinstance(node, ast.Call) else node for node in nodes]
    names = [ast.unparse(node).rpartition(".")[2] for node in called if isinstance(node, ast.Attribute | ast.Name)]
    return {name for name in names if name[0].isupper()}


def test_nothing_else_is_raised_on_purpose() -> None:
    package = ROOT / "src" / "aftune"
    found = {path.relative_to(package).as_posix(): raised(path) - set(errors.__all__) for path in package.rglob("*.py")}
    unknown = {name: kinds for name, kinds in found.items() if kinds - INTERNAL.get(name, set())}
    assert unknown == {}


def _adapter() -> None:
    from aftune.models.adapters import check_adapter
    from aftune.recipe import AdapterSection

    check_adapter(AdapterSection(kind="lora"))


def _four_bit() -> None:
    from aftune.models.four_bit import check_four_bit

    check_four_bit("cuda")


def _sharded() -> None:
    from aftune.pipeline.machine_checks import check_launch
    from aftune.recipe import LaunchSection, Recipe

    check_launch(Recipe(run_dir=Path("runs"), launch=LaunchSection(sharding="zero2")), "cuda", 2)


def _engine(kind: str) -> None:
    from aftune.pipeline.machine_checks import needed_for
    from aftune.recipe import EngineSection

    needed_for(EngineSection(kind=kind, base_url="http://localhost" if kind == "openai" else None), "sample")


def _online() -> None:
    from aftune.training.online_rl import online_trainer

    online_trainer("grpo", None, None, None, prompt=None, respond=None, reward=None, callbacks=())  # type: ignore[arg-type]


def _math() -> None:
    from aftune.answers.checker import Checker

    Checker().equal("1", "2")


def _hub() -> None:
    from aftune.tasks.published_files import hub_rows

    hub_rows("gsm8k", "openai/gsm8k", None, "train")


def _dataset() -> None:
    from aftune.interchange.exporters.dataset import write

    write(Path("nowhere"), [], lambda problem: "")


def _vllm() -> None:
    from aftune.sampling.vllm import VllmEngine

    VllmEngine(None)  # type: ignore[arg-type]


def _server() -> None:
    import importlib

    import aftune.sampling.openai

    importlib.reload(aftune.sampling.openai)


@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        ("peft", "peft", _adapter),
        ("bitsandbytes", "qlora", _four_bit),
        ("deepspeed", "deepspeed", _sharded),
        ("vllm", "vllm", lambda: _engine("vllm")),
        ("vllm", "vllm", _vllm),
        ("openai", "openai", lambda: _engine("openai")),
        ("tenacity", "openai", lambda: _engine("openai")),
        ("ray", "ray", lambda: _engine("ray")),
        ("ray", "ray", lambda: Workers(lambda: lambda batch: batch, Places())),
        ("trl", "trl", _online),
        ("math_verify", "math", _math),
        ("datasets", "hub", _hub),
        ("datasets", "hub", _dataset),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    package: str, extra: str, use: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as error:
        use()
    assert package in str(error.value)
    assert f"pip install 'aftune[{extra}]'" in str(error.value)
    assert extra in EXTRAS


# What ships with a core dependency, or is imported only after another check: the trackers, which transformers looks for.
_CHECKED = {"wandb", "mlflow"}


def test_no_other_package_is_imported_unchecked() -> None:
    """Whatever the package imports is a core dependency, or in the list above."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {re.split(r"[><=!\[]", name)[0] for name in project["dependencies"]}
    core |= {"yaml", "huggingface_hub", "click", "pydantic_core", "markupsafe"}  # named otherwise, or what these bring along
    tested = {"peft", "bitsandbytes", "vllm", "openai", "tenacity", "ray", "trl", "math_verify", "datasets"}
    worker = {"latex2sympy2_extended", "sympy", "antlr4"}  # of math-verify, in processes that the check precedes
    found = set()
    for path in (ROOT / "src" / "aftune").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    assert found - set(sys.stdlib_module_names) - core - {"aftune"} - tested - worker == _CHECKED
