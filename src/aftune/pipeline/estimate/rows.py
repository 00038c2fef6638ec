"""The rows that a stage trains on: how many tokens a forward and backward pass holds, and in what form."""

import math
from dataclasses import dataclass
from statistics import mean, pstdev

from aftune.pipeline.estimate.cost import candidates_trained_on
from aftune.pipeline.estimate.sizes import Sizes
from aftune.pipeline.estimate.tracing import RowShape
from aftune.recipe import Recipe

_DEVIATIONS = 2  # standard deviations by which the largest batch of an epoch is longer than the mean


@dataclass(frozen=True)
class TrainingRows:
    """What `stage` trains on: groups of about `group` tokens, `at_once` of them in a row, or each in `num_parts` rows. kept_bytes:
    up to where logits are kept."""

    stage: str
    group: int
    at_once: int
    num_parts: int
    shape: RowShape
    kept_bytes: float
    checkpointing: bool


def training_rows(recipe: Recipe, sizes: Sizes, num_processes: int = 1) -> list[TrainingRows]:
    """Of `sft`, whose problems have one response, and of `align`; `control` is like `sft` with the settings of `align`."""
    found = []
    for stage, section, k in (("sft", recipe.sft, 1), ("align", recipe.align, 1 + candidates_trained_on(recipe, sizes))):
        lengths, budget = sizes.lengths, section.token_budget
        group = lengths.prompt + k * lengths.response
        # A row may hold less than a group, but not less than a response.
        longest_prompt, longest_response = lengths.longest
        if k > 1 and recipe.candidates is None:
            longest_response = max(longest_response, recipe.sample.max_new_tokens)
        batch, groups = max(1.0, section.batch_size / num_processes), lengths.groups(k)
        largest_batch = min(batch * group + _DEVIATIONS * pstdev(groups) * math.sqrt(batch), max(sizes.train, 1) * group)
        shape = RowShape(
            num_tokens=round(max(min(budget, largest_batch), longest_prompt + longest_response)),
            prompt=max(1, round(lengths.prompt)),
            response=max(1, round(lengths.response)),
            k=k,
            gradients=_sets_of_gradients(largest_batch > budget, 0.0 if k == 1 else batch * mean(size > budget for size in groups)),
        )
        num_parts = (
            1 if k == 1 or group <= budget else math.ceil(k * lengths.response / max(budget - lengths.prompt, lengths.response))
        )
        at_once = max(1, min(int(budget // group), section.batch_size))
        kept_bytes, checkpointing = section.kept_logits_gib * 2**30, section.gradient_checkpointing
        found.append(TrainingRows(stage, round(group), at_once, num_parts, shape, kept_bytes, checkpointing))
    return found


def _sets_of_gradients(several_passes: bool, num_in_parts: float) -> int:
    """How many sets of gradients there may be beside the pass that is computed: those of earlier passes of the optimizer step; and
    those of a group in parts, whose rows are computed again in one backward pass that hands on their sum at its end. The largest
    groups come first, so the only one in parts has none before it. num_in_parts: such groups in a batch."""
    if num_in_parts >= 1.5:
        return 2
    return 1 if several_passes or num_in_parts > 0 else 0
