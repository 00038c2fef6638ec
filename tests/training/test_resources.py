"""Tokens per second and memory in the log."""

import itertools
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.prompts.encoding import EncodedGroup
from aftune.training import resources
from aftune.training.resources import StepResources
from small_groups import SETTINGS


def peak() -> float:
    """GiB that this process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def test_the_log_has_both(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt of 3 tokens with responses of 4, 2 and 5 tokens, and one of 2 with 6 and 1, are 14 + 9 tokens. Each of four steps
    has both and takes a quarter of a second by this clock; two steps are logged together."""
    groups = [
        EncodedGroup("a", [1, 5, 6], [[7, 8, 9, 2], [7, 2], [8, 8, 8, 8, 2]], [True, False, False], [1.0, 0.0, 0.0]),
        EncodedGroup("b", [1, 9], [[4, 4, 4, 4, 4, 2], [2]], [True, False], [1.0, 0.0]),
    ]
    clock = itertools.count(step=0.25)
    monkeypatch.setattr(resources, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    settings = {**SETTINGS, "logging_steps": 2, "max_steps": 4, "per_device_train_batch_size": 2, "constraint": "none"}
    trainer = AlignmentTrainer(make_llama(), AlignmentConfig(output_dir=str(tmp_path), **settings), groups, tokenizer)
    before = peak()
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["tokens_per_second"] for entry in logged] == [2 * 23 / 0.5] * 2
    assert before <= logged[0]["peak_memory_gib"] <= logged[1]["peak_memory_gib"] <= peak()


def test_on_a_gpu_it_is_what_tensors_took_since_training_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 GiB before, 2 GiB from there on, by a stand-in for PyTorch's count."""
    device, peaks = torch.device("cuda", 0), {"cuda:0": 3 * 2**30}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: peaks.update({str(device): 2 * 2**30}))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peaks[str(device)])
    found = StepResources()
    found.on_train_begin(SimpleNamespace(device=device), TrainerState(), TrainerControl())
    found.begin()
    found.on_step_end(SimpleNamespace(device=device), TrainerState(), TrainerControl())
    assert found.take(device)[1] == 2 * 2**30


def test_what_comes_between_steps_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 tokens in steps of 2 s and 3 s, with 50 s between them; then 10 tokens in a second."""
    now = [0.0]
    monkeypatch.setattr(resources, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    args, state, control = TrainingArguments(output_dir=str(tmp_path), use_cpu=True), TrainerState(), TrainerControl()
    found = StepResources()

    def step(begin: float, end: float, num_tokens: int) -> None:
        now[0] = begin
        found.begin()
        found.add(num_tokens)
        now[0] = end
        found.on_step_end(args, state, control)

    step(10, 12, 30)
    step(62, 65, 70)
    assert found.take(torch.device("cpu"))[0] == 20.0
    step(70, 71, 10)
    assert found.take(torch.device("cpu"))[0] == 10.0
