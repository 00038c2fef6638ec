"""Groups that `align` and `control` do not train on, to see while they train whether assessment accuracy rises."""

import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from torch.utils.data import Subset
from transformers import PreTrainedModel

from aftune.common.errors import DataError
from aftune.common.seeds import derive_seed
from aftune.evaluation.assessment import assessment_metrics
from aftune.models.adapters import base_of
from aftune.pipeline import processes
from aftune.pipeline.context import Context
from aftune.prompts.encoding import encode_group
from aftune.recipe import Recipe
from aftune.records import Group, GroupScores
from aftune.scoring import score_groups

Item = TypeVar("Item")


def held_out(number: int, recipe: Recipe) -> set[int]:
    """The places of the held-out problems among that many training problems. They follow from the seed, so that `control` and later
    rounds leave out the same ones. Raises DataError where none would be left to train on."""
    wanted = recipe.align.validation_groups
    if wanted >= number:
        raise DataError(f"align.validation_groups: {wanted:,} of {number:,} training problems cannot be held out; take fewer")
    return set(random.Random(derive_seed(recipe.seed, "validation groups")).sample(range(number), wanted))


def trained_on(items: Sequence[Item], recipe: Recipe) -> Sequence[Item]:
    """Problems, groups or whatever else there is one of for each training problem, without those that are held out."""
    out = held_out(len(items), recipe)
    kept = [place for place in range(len(items)) if place not in out]
    return cast(Sequence[Item], Subset(cast(Any, items), kept)) if out else items


def assessment_while_training(context: Context, groups: Sequence[Group]) -> Callable[[PreTrainedModel], dict[str, float]] | None:
    """A function that measures a model on the held-out groups, as `evaluate` does on those of the test problems; None where none
    are held out. Raises DataError where none of them has both right and wrong candidates."""
    places = sorted(held_out(len(groups), context.recipe))
    mixed = [group for group in map(groups.__getitem__, places) if group.has_pairs]
    if places and not mixed:
        raise DataError(f"align.validation_groups: none of the {len(places):,} held out has right and wrong candidates; take more")
    encoded = [
        encode_group(context.tokenizer, group, context.prompter(group.problem), reference=None, end_id=context.end_id)
        for group in processes.own(mixed)
    ]

    def measure(model: PreTrainedModel) -> dict[str, float]:
        scored = processes.gather(score_groups(base_of(model), encoded, token_budget=context.recipe.align.token_budget))
        rows = [GroupScores(problem_id=group.problem.id, scores=scores) for group, scores in zip(mixed, scored, strict=True)]
        metrics = assessment_metrics(mixed, rows)
        return {name: metrics[name] for name in ("assessment_accuracy", "num_assessed_problems", "score_right", "score_wrong")}

    return measure if places else None
