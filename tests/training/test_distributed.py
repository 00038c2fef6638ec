"""Several processes train as one does: real processes, with the variables of torch's launcher, that talk through gloo."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.utils.data import SequentialSampler

import own_processes
import several_processes
from aftune.models.checkpointing import SETTING
from aftune.training.distributed import StepBatches
from aftune.training.sharding import sharding_arguments
from small_groups import SETTINGS

pytestmark = pytest.mark.xdist_group("distributed")  # its fixtures are slow to make, so one process runs it all

# Without a pair, with rows of one response each, with the last batch filled in part or by one process alone.
TRAININGS: dict[str, dict[str, Any]] = {
    **{f"aft-{name}": {"constraint": name} for name in ("none", "detached", "boundary")},
    **{f"{loss}-{name}": {"loss": loss, "constraint": name} for loss in ("rrhf", "pro", "dpo") for name in ("none", "boundary")},
    "ipo": {"loss": "ipo", "constraint": "none"},
    "infonca": {"loss": "infonca", "constraint": "boundary"},
    "sft only": {"alignment_weight": 0.0},
    "one response a row": {"token_budget": 20},
    "checkpointing": {SETTING: True},
    "a last batch of 5": {"num_groups": 21, "max_steps": 6},
    "a last batch of 1": {"num_groups": 17, "max_steps": 6},
}
if importlib.util.find_spec("peft") is not None:
    TRAININGS["lora"] = {"adapter": {"kind": "lora", "rank": 4}}
    TRAININGS["lora, dpo"] = {"adapter": {"kind": "lora", "targets": "all-linear"}, "loss": "dpo", "constraint": "boundary"}
if importlib.util.find_spec("tensorboard") is not None:
    TRAININGS["sft only"]["report_to"] = "tensorboard"
# Sums of bfloat16 gradients are rounded, so that these differ a little; what is the same in all processes, is that here too.
SHORT = {"bfloat16 weights": {"weights": "bfloat16", "bf16": True}}


# Two processes that share nothing, or that share the weights too, or gradients and optimizer state.
KINDS = {"two": {}, "fsdp": sharding_arguments("fsdp", offload=False)}
if importlib.util.find_spec("deepspeed") is not None:  # it builds itself when it is first used, which takes a minute
    KINDS["zero2"] = {**sharding_arguments("zero2", offload=False), "use_cpu": False}


def run(folder: Path, model: Path, tokenizer: Path, num_processes: int, trainings: dict[str, Any], kind: str | None = None) -> None:
    """All trainings, with 8 groups a step."""
    common = {**SETTINGS, "max_steps": 4, "per_device_train_batch_size": 8 // num_processes, **KINDS.get(kind, {})}
    folder.mkdir(exist_ok=True)
    path = folder / "specification.json"
    path.write_text(json.dumps({"model": str(model), "tokenizer": str(tokenizer), "common": common, "trainings": trainings}))
    running = [own_processes.start(several_processes.main, path, own) for own in own_processes.launched(num_processes)]
    for process in running:
        process.join(300)
    assert [process.exitcode for process in running] == [0] * num_processes


def log(folder: Path, name: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((folder / f"{name}.json").read_text())
    return [entry for entry in found if "loss" in entry]


# 24 groups, 8 a step: step 4 is the first of the second epoch.
UNBROKEN: dict[str, Any] = {"num_groups": 24, "max_steps": 7, "save_strategy": "steps", "save_steps": 4}


def resumed(kind: Path) -> dict[str, Any]:
    """`UNBROKEN` from the checkpoint that it left in a folder of `trained`."""
    return {"resumed": UNBROKEN | {"resume": str(kind / "unbroken" / "checkpoint-4")}}


@pytest.fixture(scope="module")
def trained(make_llama: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All trainings by one process, by two, and by two that share the weights; one start for each, since starting is slow."""
    folder = tmp_path_factory.mktemp("trained")
    places = folder / "model", folder / "tokenizer"
    make_llama(seed=1).save_pretrained(places[0])
    tokenizer.save_pretrained(places[1])
    for kind in KINDS:
        more = {**(SHORT if kind == "two" else {}), "unbroken": UNBROKEN, **resumed(folder / kind)}
        run(folder / kind, *places, 2, TRAININGS | more, kind)
    run(folder / "one", *places, 1, TRAININGS | SHORT | resumed(folder / "two"))
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TRAININGS)
def test_two_processes_train_as_one(trained: Path, name: str, kind: str) -> None:
    """The same losses, gradients and scores in each step, and the same weights after the last."""
    one, two = (log(trained / folder, name) for folder in ("one", kind))
    assert len(one) == len(two) == TRAININGS[name].get("max_steps", 4)
    for step, (ours, theirs) in enumerate(zip(two, one, strict=True)):
        assert ours.keys() == theirs.keys(), step
        for key in theirs.keys() - {"epoch", "learning_rate", "step", "tokens_per_second", "peak_memory_gib"}:
            assert ours[key] == pytest.approx(theirs[key], rel=2e-5, abs=1e-5), (step, key)
    weights = [load_file(trained / folder / f"{name}.safetensors") for folder in ("one", kind)]
    assert weights[0].keys() == weights[1].keys()
    for key in weights[0]:
        torch.testing.assert_close(weights[1][key], weights[0][key], rtol=0, atol=5e-5)


def test_bfloat16_weights_stay_the_same_in_both(trained: Path) -> None:
    """Each process rounds its weights at random, both alike (`several_processes.py` compares them)."""
    one, two = (log(trained / folder, "bfloat16 weights") for folder in ("one", "two"))
    assert [entry["loss"] for entry in two] == pytest.approx([entry["loss"] for entry in one], rel=0.02)
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-4)


def test_only_the_first_of_two_processes_writes_for_a_tracker(trained: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install tensorboard")
    for folder in ("one", "two"):
        assert len(list((trained / folder / "sft only" / "runs").rglob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize(("by", "kind"), [("one", "two"), *((kind, kind) for kind in KINDS)])
def test_training_goes_on_within_an_epoch_as_if_never_broken_off(trained: Path, by: str, kind: str) -> None:
    """The resumed run sees the groups that are left of the epoch, in as many processes to the last bit, in others to rounding."""
    atol = 0 if by == kind else 5e-5
    names = ((by, "resumed"), (kind, "unbroken"))
    ours, theirs = (load_file(trained / folder / f"{name}.safetensors") for folder, name in names)
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=atol)
    losses = [[entry["loss"] for entry in log(trained / folder, name)] for folder, name in names]
    assert len(losses[0]) == UNBROKEN["max_steps"]
    assert losses[0] == pytest.approx(losses[1], rel=0, abs=atol)


@given(number=st.integers(0, 40), batch_size=st.integers(1, 5), num_processes=st.integers(1, 4), drop_last=st.booleans())
def test_every_group_once_and_as_many_batches_for_all(number: int, batch_size: int, num_processes: int, drop_last: bool) -> None:
    order = SequentialSampler(range(number))
    samplers = [StepBatches(order, batch_size, num_processes, process, drop_last=drop_last) for process in range(num_processes)]
    shares = list(map(list, samplers))
    size = batch_size * num_processes
    expected = number // size * size if drop_last else number
    assert list(map(len, shares)) == list(map(len, samplers))
    for step, batches in enumerate(zip(*shares, strict=True)):
        members = sorted(index for batch in batches for index in batch)
        assert members == list(range(step * size, min((step + 1) * size, expected)))
        assert max(map(len, batches)) - min(map(len, batches)) <= 1
    assert sum(len(batch) for share in shares for batch in share) == expected
