"""Out of memory in training: smaller passes, the same numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aftune.training import AlignmentConfig, AlignmentTrainer
from small_groups import GROUPS

NO_MEMORY = "[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


def trainer(model: Any, tokenizer: Any, folder: Path, **settings: Any) -> AlignmentTrainer:
    config = AlignmentConfig(
        output_dir=str(folder),
        max_steps=3,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **settings,
    )
    return AlignmentTrainer(model, config, GROUPS, tokenizer)


def limited(run: AlignmentTrainer, monkeypatch: pytest.MonkeyPatch, most: int, *, backward: bool = False) -> None:
    """From now on a pass of more tokens than that has no memory, before or after its gradients were added."""
    compute, propagate = run.compute_loss, run.accelerator.backward
    sizes: list[int] = []

    def limited_loss(model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        sizes.append(sum(row["num_tokens"] for row in inputs["rows"]))
        if sizes[-1] > most and not backward:
            raise RuntimeError(NO_MEMORY)
        return compute(model, inputs, *args, **kwargs)

    def limited_backward(*args: Any, **kwargs: Any) -> None:
        propagate(*args, **kwargs)
        if sizes[-1] > most:
            raise RuntimeError(NO_MEMORY)

    monkeypatch.setattr(run, "compute_loss", limited_loss)
    if backward:
        monkeypatch.setattr(run.accelerator, "backward", limited_backward)


def logged(run: AlignmentTrainer) -> list[tuple[float, ...]]:
    names = ("loss", "sft_loss", "alignment_loss", "grad_norm")
    return [tuple(entry[name] for name in names) for entry in run.state.log_history if "loss" in entry]


@pytest.mark.parametrize("backward", [False, True])
def test_a_step_out_of_memory_is_computed_in_smaller_passes(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backward: bool
) -> None:
    """Weights and logs are those of a training with enough memory, and what was halved stays so."""
    rich = trainer(make_llama(seed=1), tokenizer, tmp_path / "rich", token_budget=10**6)
    rich.train()
    poor = trainer(make_llama(seed=1), tokenizer, tmp_path / "poor", token_budget=10**6)
    limited(poor, monkeypatch, 200, backward=backward)
    with pytest.warns(UserWarning, match=r"out of memory with token_budget=1000000: going on with passes of \d+ tokens") as said:
        poor.train()
    budgets = [int(str(one.message).split("passes of ")[1].split()[0]) for one in said if "out of memory" in str(one.message)]
    assert budgets == sorted(budgets, reverse=True)
    assert 100 <= budgets[-1] <= 200
    assert len(set(budgets)) == len(budgets), "no step begins again with the budget asked for"
    for ours, theirs in zip(poor.model.parameters(), rich.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-4)
    for found, expected in zip(logged(poor), logged(rich), strict=True):
        assert found == pytest.approx(expected, rel=1e-3)


def test_where_nothing_is_left_to_halve_the_error_is_raised(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(make_llama(seed=1), tokenizer, tmp_path, token_budget=1000)
    limited(run, monkeypatch, 0)
    with pytest.warns(UserWarning, match="out of memory"), pytest.raises(RuntimeError, match="can't allocate memory"):
        run.train()


@pytest.mark.parametrize("message", ["of this test", NO_MEMORY])
def test_other_errors_and_steps_of_several_batches_are_left_alone(
    make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    settings = {"gradient_accumulation_steps": 2} if message == NO_MEMORY else {}
    run = trainer(make_llama(seed=1), tokenizer, tmp_path, **settings)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(message)

    monkeypatch.setattr(run, "compute_loss", fail)
    with pytest.raises(RuntimeError, match=r"of this test|allocate memory"):
        run.train()
