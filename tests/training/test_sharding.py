"""What sharded training adds to the batches of a process, and what it refuses."""

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from aftune.common.errors import UsageError
from aftune.scoring import collate, response_logprobs
from aftune.scoring.logprobs import rows_of_segments
from aftune.training import sharding
from small_groups import GROUPS


@pytest.mark.parametrize("shared_prefix", [False, True])
def test_batches_are_filled_up_with_what_adds_nothing(
    make_llama: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, shared_prefix: bool
) -> None:
    """This process has one pass of one row with gradients; another one has passes of 2 and 1 such rows, and 1 and 0 without.
    Together: 2 and 1 with, 1 and 0 without. The added pass has no response, and its gradient is 0 for every weight."""
    model = make_llama(seed=1)
    group = next(group for group in GROUPS if len(group.response_ids) > 1)
    batch = collate([group], shared_prefix=shared_prefix)
    before = response_logprobs(model, batch["passes"][0]).sums_P_G
    monkeypatch.setattr(sharding, "gather_object", lambda own: [*own, [[(2, 1), (1, 0)]]])
    sharding.even_passes([batch], shared_prefix=shared_prefix)
    assert [[row["needs_gradient"] for row in part["rows"]] for part in batch["passes"]] == [[True, True, False], [True]]
    torch.testing.assert_close(response_logprobs(model, batch["passes"][0]).sums_P_G, before, rtol=0, atol=0)
    with rows_of_segments(model) if shared_prefix else nullcontext():
        added = response_logprobs(model, batch["passes"][1])
        (added.sums_P_G.sum() + added.scores_P_G.sum()).backward()
    assert added.sums_P_G.tolist() == added.lengths_P_G.tolist() == [[0]]
    gradients = [weight.grad for weight in model.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_sharding_that_accelerate_does_not_give() -> None:
    accelerator = SimpleNamespace(distributed_type=SimpleNamespace(value="MULTI_CPU"), device=torch.device("cpu"))
    with pytest.raises(UsageError, match="FSDP was asked for, and accelerate gave MULTI_CPU on cpu: it shards on two or more GPUs"):
        sharding.check_sharded(SimpleNamespace(fsdp=True), accelerator)
    accelerator.distributed_type.value = "FSDP"
    sharding.check_sharded(SimpleNamespace(fsdp=True), accelerator)
