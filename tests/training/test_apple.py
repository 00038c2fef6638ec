"""Apple's GPUs, which no machine of ours has: every operation of a training step is one that torch has for them."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.utils._python_dispatch import TorchDispatchMode

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.prompts.encoding import EncodedGroup

GROUPS = [
    EncodedGroup("a", [1, 5], [[6, 7, 2], [8, 2], [9, 10, 11, 2]], [True, False, False], [1.0, 0.0, 0.0]),
    EncodedGroup("b", [1, 5, 9], [[4, 2], [12, 2]], [True, False], [1.0, 0.0]),
]
# Where an operation without a kernel of the device's own is made of others.
COMPOSITE = {"CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional"}


class Operations(TorchDispatchMode):
    """Collects the operations that run within it, and those whose result is float64."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.doubles: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        namespace, _, name = function.name().partition("::")
        if namespace == "aten":
            self.names.add(name)
            if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
                self.doubles.add(name)
        return result


@pytest.fixture(scope="module")
def kernels() -> dict[str, set[str]]:
    """The devices that torch has each operation for, by its name."""
    path = resources.files("torchgen") / "packaged" / "ATen" / "native" / "native_functions.yaml"
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    by_name = {entry["func"].partition("(")[0]: entry for entry in entries}

    def devices(entry: dict[str, Any]) -> set[str]:
        if "structured_delegate" in entry:
            return devices(by_name[entry["structured_delegate"]])
        return {key.strip() for keys in entry.get("dispatch", {"CompositeImplicitAutograd": ""}) for key in keys.split(",")}

    return {name: devices(entry) for name, entry in by_name.items()}


def test_the_list_of_kernels_tells_what_apple_has(kernels: dict[str, set[str]]) -> None:
    assert "MPS" in kernels["index_copy"]
    assert not kernels["segment_reduce"] & {"MPS", *COMPOSITE}


@pytest.mark.parametrize(
    "settings", [{"loss": "aft"}, {"loss": "dpo"}, {"loss": "rrhf", "constraint": "detached"}, {"loss": "pro", "token_budget": 1}]
)
def test_a_training_step_has_only_operations_that_apple_has(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, kernels: dict[str, set[str]], settings: dict[str, Any]
) -> None:
    args = AlignmentConfig(
        output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=2, per_device_train_batch_size=2, **settings
    )
    with Operations() as seen:
        AlignmentTrainer(make_llama(), args, GROUPS, tokenizer).train()
    assert {"embedding", "mm", "sum.dim_IntList"} <= seen.names
    chosen = {name for name in seen.names if not name.endswith("_for_cpu")}  # attention has a kernel of its own for each device
    assert {name for name in chosen if not kernels[name] & {"MPS", *COMPOSITE}} == set()
    assert seen.doubles == set()


def test_no_sum_by_segments_is_left(repository: Path) -> None:
    assert [path for path in (repository / "src").rglob("*.py") if "segment_reduce(" in path.read_text(encoding="utf-8")] == []
