"""What a run would compute, before anything is loaded: tokens and operations by stage."""

import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

from aftune.common.wording import counted
from aftune.pipeline.estimate.sizes import Sizes
from aftune.pipeline.plans import Plan
from aftune.pipeline.registry import needs_reference
from aftune.recipe import AdapterSection, Recipe, SamplingSection


@dataclass(frozen=True)
class Decoding:
    """Responses that are sampled: how many, how many at a time, their mean and longest lengths in tokens; and how often."""

    num_responses: int
    at_once: int
    mean_tokens: float
    most_tokens: int
    times: int = 1

    def at_most(self) -> "Decoding":
        """The same if no response ends by itself."""
        return replace(self, mean_tokens=float(self.most_tokens))

    @property
    def num_tokens(self) -> float:
        return self.times * self.num_responses * self.mean_tokens

    @property
    def num_steps(self) -> float:
        """Forward passes: full ones, and those of the last rows, which go on until a response of about twice the mean ends."""
        tail = min(2 * self.mean_tokens, self.most_tokens) - self.mean_tokens
        return self.times * (math.ceil(self.num_responses / self.at_once) * self.mean_tokens + tail)


@dataclass(frozen=True)
class StageCost:
    """What a stage computes: tokens trained on, operations for each of them and weight, optimizer steps for them, tokens of forward
    passes, and responses sampled."""

    stage: str
    what: str
    trained: float = 0.0
    num_steps: float = 0.0
    scored: float = 0.0
    decoding: Decoding | None = None
    trained_operations: float = 6.0

    @property
    def num_tokens(self) -> float:
        """Tokens through the model, in millions."""
        return (self.trained + self.scored + (self.decoding.num_tokens if self.decoding else 0.0)) / 1e6

    def teraflops(self, parameters: float) -> float:
        """2 operations per parameter and token for a forward pass, more for training; in 10^12."""
        return (2 * 1e6 * self.num_tokens + (self.trained_operations - 2) * self.trained) * parameters / 1e12

    def at_most(self) -> "StageCost":
        """The same if all sampled responses reach their limit."""
        return self if self.decoding is None else replace(self, decoding=self.decoding.at_most())


def estimate(recipe: Recipe, stages: Container[str] | None = None) -> list[StageCost]:
    """The costs of all stages that compute, or of those among them that are named."""
    sizes = Sizes.of(recipe)
    costs = [*_training_costs(recipe, sizes), _rl_cost(recipe, sizes), *_evaluation_costs(recipe, sizes)]
    return [cost for cost in costs if stages is None or cost.stage in stages]


def unfinished(plans: Iterable[Plan]) -> set[str]:
    """The stages that would run, those of later rounds (`align-2`) by their names in the first."""
    return {item.stage.name.partition("-")[0] for item in plans if item.status != "finished"}


def _training_costs(recipe: Recipe, sizes: Sizes) -> Iterator[StageCost]:
    epochs, align_epochs = recipe.sft.num_epochs, recipe.align.num_epochs * recipe.rounds
    rounds = f" x {recipe.rounds} rounds" if recipe.rounds > 1 else ""
    yield StageCost(
        "sft",
        f"{counted(sizes.train, 'reference')} x {counted(epochs, 'epoch')}",
        sizes.train * sizes.row * epochs,
        sizes.train * epochs / recipe.sft.batch_size,
        trained_operations=trained_operations(recipe.adapter, again=recipe.sft.gradient_checkpointing),
    )
    validation = _sampled(sizes, sizes.validation, 1, recipe.evaluate)
    for_one = StageCost("sft", "", scored=sizes.validation * sizes.prompt, decoding=validation)
    yield _repeated(for_one, math.ceil(epochs), f"{counted(sizes.validation, 'greedy response')} x {counted(epochs, 'epoch')}")
    num_rounds_sampled = recipe.rounds - (recipe.candidates is not None)  # imported candidates are the first round's
    sampled = _sampled(sizes, sizes.train, sizes.k, recipe.sample)
    for_one = StageCost("sample", "", scored=sizes.train * sizes.prompt, decoding=sampled)
    yield _repeated(for_one, num_rounds_sampled, f"{counted(sizes.train, 'problem')} x {counted(sizes.k, 'candidate')}{rounds}")
    if needs_reference(recipe):
        tokens = sizes.train * sizes.group(sizes.k) * recipe.rounds
        yield StageCost("reference", f"{counted(sizes.train, 'group')}{rounds}", scored=tokens)
    steps = sizes.train * align_epochs / recipe.align.batch_size
    k = candidates_trained_on(recipe, sizes)
    again = recipe.align.gradient_checkpointing
    yield StageCost(
        "align",
        f"{counted(sizes.train, 'group')} of up to {counted(k + 1, 'response')} x {counted(align_epochs, 'epoch')}",
        sizes.train * sizes.group(k) * align_epochs,
        steps,
        trained_operations=trained_operations(recipe.adapter, again=again or sizes.group(k) > recipe.align.token_budget),
    )
    if recipe.control.enabled:
        factor = sizes.group(k) / sizes.row if recipe.control.match == "compute" else 1.0
        yield StageCost(
            "control",
            f"{counted(sizes.train, 'reference')} x {counted(float(f'{align_epochs * factor:.3g}'), 'epoch')}",
            sizes.train * sizes.row * align_epochs * factor,
            steps * factor,
            trained_operations=trained_operations(recipe.adapter, again=again),
        )


def _rl_cost(recipe: Recipe, sizes: Sizes) -> StageCost:
    """Responses are sampled a step at a time, and each is trained on with a prompt of its own."""
    section, k = recipe.rl, recipe.sample.num_candidates
    epochs = section.num_epochs or recipe.rounds
    num_responses, steps = sizes.train * k, math.ceil(sizes.train / section.batch_size)
    response = min(sizes.response, recipe.sample.max_new_tokens)
    at_once = min(recipe.sample.batch_size, section.batch_size * k)
    return StageCost(
        "rl",
        f"{counted(sizes.train, 'problem')} x {counted(k, 'response')} x {counted(epochs, 'epoch')}",
        num_responses * (sizes.prompt + response) * epochs,
        steps * epochs,
        scored=sizes.train * sizes.prompt * epochs,
        decoding=Decoding(section.batch_size * k, at_once, response, recipe.sample.max_new_tokens, steps * epochs),
        trained_operations=trained_operations(recipe.adapter, again=section.gradient_checkpointing),
    )


def candidates_trained_on(recipe: Recipe, sizes: Sizes) -> int:
    """Candidates of a problem in `align`."""
    k = min(sizes.k, recipe.align.num_candidates or sizes.k)
    if not recipe.align.alignment_weight:
        k = k // 2 if recipe.align.sft_on == "positives" else 0  # RFT: about half of the candidates are right
    return k


def _evaluation_costs(recipe: Recipe, sizes: Sizes) -> Iterator[StageCost]:
    section, num_policies = recipe.evaluate, 2 + recipe.rounds + recipe.control.enabled
    if recipe.candidates is None:
        yield _held_out("evaluate", recipe, sizes)
        yield _held_out("held_out", recipe, sizes)
    yield _measured("evaluate", recipe, sizes, num_policies)
    yield _measured("measure", recipe, sizes, 1)
    for stage, number in (("evaluate", num_policies), ("measure", 1)):
        if section.num_votes:
            votes = _sampled(sizes, sizes.test, section.num_votes, section)
            scored = sizes.test * (2 * sizes.prompt + section.num_votes * sizes.response)
            for_one = StageCost(stage, "", scored=scored, decoding=votes)
            what = f"{counted(sizes.test, 'problem')} x {counted(section.num_votes, 'vote')}"
            yield _repeated(for_one, number, f"{what} x {_models(number)}")


def _held_out(stage: str, recipe: Recipe, sizes: Sizes) -> StageCost:
    what = f"{counted(sizes.test, 'held-out problem')} x {counted(sizes.k_test, 'candidate')}"
    decoding = _sampled(sizes, sizes.test, sizes.k_test, recipe.evaluate)
    return StageCost(stage, what, scored=sizes.test * sizes.prompt, decoding=decoding)


def _measured(stage: str, recipe: Recipe, sizes: Sizes, num_policies: int) -> StageCost:
    scored = sizes.test * (sizes.prompt + sizes.group(sizes.k_test))
    for_one = StageCost(stage, "", scored=scored, decoding=_sampled(sizes, sizes.test, 1, recipe.evaluate))
    responses = f"{counted(sizes.test, 'greedy response')} and {counted(sizes.test, 'group')}"
    return _repeated(for_one, num_policies, f"{responses} x {_models(num_policies)}")


def _models(number: int) -> str:
    return f"{number} models" if number > 1 else "one model"


def _repeated(cost: StageCost, times: int, what: str) -> StageCost:
    """The same work several times, one after the other."""
    decoding = replace(cost.decoding, times=times) if cost.decoding is not None and times else None
    return replace(cost, what=what, scored=cost.scored * times, decoding=decoding)


def _sampled(sizes: Sizes, num_problems: int, num_candidates: int, section: SamplingSection) -> Decoding:
    response = min(sizes.response, section.max_new_tokens)
    return Decoding(num_problems * num_candidates, section.batch_size, response, section.max_new_tokens)


def trained_operations(adapter: AdapterSection, *, again: bool) -> float:
    """Operations for each weight and token that is trained on: 2 forward, 2 for the gradient of what comes in, 2 for that of the
    weight, which an adapter's frozen weights do without. again: whether the forward pass is computed again in the backward pass."""
    return (6.0 if adapter.kind == "none" else 4.0) + (2.0 if again else 0.0)
