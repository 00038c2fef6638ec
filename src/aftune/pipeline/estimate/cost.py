"""What a run would compute, before anything is loaded: tokens and operations by stage, and memory of training.

Lengths are those of a few problems and their references, where data and tokenizer are here. Memory counts weights, gradients and
Adam's two moments in float32 and what one pass keeps for its backward pass. aftune.pipeline.estimate.speed estimates seconds.
"""

import math
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from aftune.common.errors import AftuneError
from aftune.common.wording import counted
from aftune.interchange.importers import CANDIDATES_PER_PROBLEM
from aftune.models.adapters import count_adapted
from aftune.models.kernels.chunked_head import CHUNK_ELEMENTS
from aftune.models.loading import count_parameters, empty_model, load_config, load_tokenizer
from aftune.pipeline.context import make_prompter
from aftune.pipeline.plans import Plan
from aftune.pipeline.recipe_task import SPLITS, build_one, used
from aftune.pipeline.registry import needs_reference
from aftune.recipe import PartSection, Recipe, SamplingSection
from aftune.tasks import TASKS, Mixture, Task, splits
from aftune.tasks.few_shot import choose_examples

_SAMPLE_SIZE = 64  # problems looked at for their lengths
_ASSUMED_TOKENS = (150, 150)  # prompt, response
# Tensors that a layer keeps for its backward pass: as wide as the hidden states, as wide as the inner layer, attention weights.
_KEPT_WIDTHS, _KEPT_INNER, _KEPT_WEIGHTS = 12, 4, 2


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
    """What a stage computes: tokens trained on, optimizer steps for them, tokens of forward passes, and responses sampled."""

    stage: str
    what: str
    trained: float = 0.0
    num_steps: float = 0.0
    scored: float = 0.0
    decoding: Decoding | None = None

    @property
    def num_tokens(self) -> float:
        """Tokens through the model, in millions."""
        return (self.trained + self.scored + (self.decoding.num_tokens if self.decoding else 0.0)) / 1e6

    def teraflops(self, parameters: float) -> float:
        """6 operations per parameter and token for training, 2 for a forward pass; in 10^12."""
        return (2 * 1e6 * self.num_tokens + 4 * self.trained) * parameters / 1e12

    def at_most(self) -> "StageCost":
        """The same if all sampled responses reach their limit."""
        return self if self.decoding is None else replace(self, decoding=self.decoding.at_most())


@dataclass(frozen=True)
class TrainingMemory:
    """num_tokens: of a mean group. num_rows: how many forward passes it takes; if several, each is computed again for its
    gradient. state, pass_: bytes of weights, gradients and optimizer, and of what a pass holds."""

    num_tokens: int
    num_rows: int
    state: float
    pass_: float


def num_parameters(recipe: Recipe) -> float | None:
    """Parameters of the base model, from its configuration if it is here, else from its name (`...-1.5B`), else None."""
    section = recipe.model
    config = load_config(section.name, **section.load_options)
    if config is not None:
        return float(count_parameters(config))
    match = re.search(r"(\d+(?:\.\d+)?)\s*([bBmM])(?![a-zA-Z])", section.name)
    return float(match[1]) * (1e9 if match[2] in "bB" else 1e6) if match else None


def estimate(recipe: Recipe, stages: Container[str] | None = None) -> list[StageCost]:
    """The costs of all stages that compute, or of those among them that are named."""
    sizes = _Sizes.of(recipe)
    costs = [*_training_costs(recipe, sizes), *_evaluation_costs(recipe, sizes)]
    return [cost for cost in costs if stages is None or cost.stage in stages]


def unfinished(plans: Iterable[Plan]) -> set[str]:
    """The stages that would run, those of later rounds (`align-2`) by their names in the first."""
    return {item.stage.name.partition("-")[0] for item in plans if item.status != "finished"}


@dataclass(frozen=True)
class _Sizes:
    """Problems of each split, mean tokens of a prompt and of a response, candidates per problem in training and held out."""

    train: int
    validation: int
    test: int
    prompt: float
    response: float
    k: int
    k_test: int

    @classmethod
    def of(cls, recipe: Recipe) -> "_Sizes":
        train, validation, test = (_num_problems(recipe, split) for split in SPLITS)
        prompt, response = mean_lengths(recipe)
        k, k_test = num_candidates(recipe, recipe.sample), num_candidates(recipe, recipe.evaluate)
        return cls(train, validation, test, prompt, response, k, k_test)

    @property
    def row(self) -> float:
        """Tokens of a prompt with its reference."""
        return self.prompt + self.response

    def group(self, k: int) -> float:
        """Tokens of a prompt, counted once, with a reference and k candidates."""
        return self.prompt + (k + 1) * self.response

    def sampled(self, num_problems: int, num_candidates: int, section: SamplingSection) -> Decoding:
        response = min(self.response, section.max_new_tokens)
        return Decoding(num_problems * num_candidates, section.batch_size, response, section.max_new_tokens)


def _training_costs(recipe: Recipe, sizes: _Sizes) -> Iterator[StageCost]:
    epochs, align_epochs = recipe.sft.num_epochs, recipe.align.num_epochs * recipe.rounds
    rounds = f" x {recipe.rounds} rounds" if recipe.rounds > 1 else ""
    yield StageCost(
        "sft",
        f"{counted(sizes.train, 'reference')} x {counted(epochs, 'epoch')}",
        sizes.train * sizes.row * epochs,
        sizes.train * epochs / recipe.sft.batch_size,
    )
    validation = sizes.sampled(sizes.validation, 1, recipe.evaluate)
    for_one = StageCost("sft", "", scored=sizes.validation * sizes.prompt, decoding=validation)
    yield _repeated(for_one, math.ceil(epochs), f"{counted(sizes.validation, 'greedy response')} x {counted(epochs, 'epoch')}")
    num_rounds_sampled = recipe.rounds - (recipe.candidates is not None)  # imported candidates are the first round's
    sampled = sizes.sampled(sizes.train, sizes.k, recipe.sample)
    for_one = StageCost("sample", "", scored=sizes.train * sizes.prompt, decoding=sampled)
    yield _repeated(for_one, num_rounds_sampled, f"{counted(sizes.train, 'problem')} x {counted(sizes.k, 'candidate')}{rounds}")
    if needs_reference(recipe):
        tokens = sizes.train * sizes.group(sizes.k) * recipe.rounds
        yield StageCost("reference", f"{counted(sizes.train, 'group')}{rounds}", scored=tokens)
    steps = sizes.train * align_epochs / recipe.align.batch_size
    k = min(sizes.k, recipe.align.num_candidates or sizes.k)
    if not recipe.align.alignment_weight:
        k = k // 2 if recipe.align.sft_on == "positives" else 0  # RFT: about half of the candidates are right
    yield StageCost(
        "align",
        f"{counted(sizes.train, 'group')} of up to {counted(k + 1, 'response')} x {counted(align_epochs, 'epoch')}",
        sizes.train * sizes.group(k) * align_epochs,
        steps,
    )
    if recipe.control.enabled:
        factor = sizes.group(k) / sizes.row if recipe.control.match == "compute" else 1.0
        yield StageCost(
            "control",
            f"{counted(sizes.train, 'reference')} x {counted(float(f'{align_epochs * factor:.3g}'), 'epoch')}",
            sizes.train * sizes.row * align_epochs * factor,
            steps * factor,
        )


def _evaluation_costs(recipe: Recipe, sizes: _Sizes) -> Iterator[StageCost]:
    section, num_policies = recipe.evaluate, 2 + recipe.rounds + recipe.control.enabled
    if recipe.candidates is None:
        yield _held_out("evaluate", recipe, sizes)
        yield _held_out("held_out", recipe, sizes)
    yield _measured("evaluate", recipe, sizes, num_policies)
    yield _measured("measure", recipe, sizes, 1)
    for stage, number in (("evaluate", num_policies), ("measure", 1)):
        if section.num_votes:
            votes = sizes.sampled(sizes.test, section.num_votes, section)
            scored = sizes.test * (2 * sizes.prompt + section.num_votes * sizes.response)
            for_one = StageCost(stage, "", scored=scored, decoding=votes)
            what = f"{counted(sizes.test, 'problem')} x {counted(section.num_votes, 'vote')}"
            yield _repeated(for_one, number, f"{what} x {_models(number)}")


def _held_out(stage: str, recipe: Recipe, sizes: _Sizes) -> StageCost:
    what = f"{counted(sizes.test, 'held-out problem')} x {counted(sizes.k_test, 'candidate')}"
    decoding = sizes.sampled(sizes.test, sizes.k_test, recipe.evaluate)
    return StageCost(stage, what, scored=sizes.test * sizes.prompt, decoding=decoding)


def _measured(stage: str, recipe: Recipe, sizes: _Sizes, num_policies: int) -> StageCost:
    scored = sizes.test * (sizes.prompt + sizes.group(sizes.k_test))
    for_one = StageCost(stage, "", scored=scored, decoding=sizes.sampled(sizes.test, 1, recipe.evaluate))
    responses = f"{counted(sizes.test, 'greedy response')} and {counted(sizes.test, 'group')}"
    return _repeated(for_one, num_policies, f"{responses} x {_models(num_policies)}")


def _models(number: int) -> str:
    return f"{number} models" if number > 1 else "one model"


def _repeated(cost: StageCost, times: int, what: str) -> StageCost:
    """The same work several times, one after the other."""
    decoding = replace(cost.decoding, times=times) if cost.decoding is not None and times else None
    return replace(cost, what=what, scored=cost.scored * times, decoding=decoding)


def training_memory(recipe: Recipe) -> TrainingMemory | None:
    """The memory of the stage `align`, which takes the most; None where the model's configuration is not here."""
    section = recipe.model
    config = load_config(section.name, **section.load_options)
    parameters = num_parameters(recipe)
    if config is None or parameters is None:
        return None
    prompt, response = mean_lengths(recipe)
    k = num_candidates(recipe, recipe.sample)
    group, budget = prompt + (k + 1) * response, recipe.align.token_budget
    num_rows = 1 if group <= budget else math.ceil((k + 1) * response / max(budget - prompt, response))
    in_row = group * (budget // group) if num_rows == 1 else max(budget, prompt + response)
    head = 3 * min(CHUNK_ELEMENTS, in_row * config.vocab_size) * 4
    kept = kept_bytes(config, in_row, prompt + response, half=section.precision == "bfloat16")
    if recipe.align.gradient_checkpointing:
        kept /= config.num_hidden_layers
    return TrainingMemory(round(group), num_rows, _state_bytes(recipe, config, parameters), kept + head)


def _state_bytes(recipe: Recipe, config: Any, parameters: float) -> float:
    """Weights, gradients and Adam's two moments in float32; with an adapter those of its weights, and the frozen ones alone."""
    if recipe.adapter.kind == "none":
        return 16 * parameters
    frozen = 2 if recipe.model.precision == "bfloat16" else 4
    return frozen * parameters + 16 * count_adapted(empty_model(config), recipe.adapter)


def kept_bytes(config: Any, num_tokens: float, num_visible: float, *, half: bool) -> float:
    """Bytes that a forward pass keeps for its backward pass, in all layers: `num_tokens` in the row, each of which sees at most
    `num_visible`. With `half` under autocast, which keeps about half of them in float32."""
    wide = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or 4 * wide
    attention = _KEPT_WEIGHTS * config.num_attention_heads * num_visible
    values = num_tokens * config.num_hidden_layers * (_KEPT_WIDTHS * wide + _KEPT_INNER * inner + attention)
    return float(values * (3 if half else 4))


def _task(recipe: Recipe, key: str, part: PartSection) -> Task | None:
    """The task, or None where its data is not here (nothing is downloaded for an estimate)."""
    if (part.data or recipe.data) is None and not TASKS[part.name].generated:
        return None
    return build_one(recipe, key, part)


def num_candidates(recipe: Recipe, section: SamplingSection) -> int:
    """Candidates per problem: those sampled, or as many as the format of imported files says."""
    given = None if recipe.candidates is None else CANDIDATES_PER_PROBLEM.get(recipe.candidates.format)
    return section.num_candidates if given is None else given


def _num_problems(recipe: Recipe, split: str) -> int:
    """Problems of all tasks together; for a mixture, what its own slice takes of the parts' slices."""
    if recipe.task.name != Mixture.name:
        return sum(_size(recipe, key, part, split) for key, part in used(recipe).items())
    wanted = splits.parse(getattr(recipe.task, split))
    start, stop = wanted.bounds(sum(_size(recipe, key, part, wanted.split) for key, part in used(recipe).items()))
    return stop - start


def _size(recipe: Recipe, key: str, part: PartSection, split: str) -> int:
    wanted, task = splits.parse(getattr(part, split)), _task(recipe, key, part)
    size = task.split_size(wanted.split) if task else TASKS[part.name].published_sizes.get(wanted.split, 0)
    start, stop = wanted.bounds(size)
    return stop - start


def mean_lengths(recipe: Recipe) -> tuple[float, float]:
    """Mean tokens of prompts and reference responses, each task weighted by its number of training problems."""
    parts = used(recipe)
    sizes = [max(_size(recipe, key, part, "train"), 1) for key, part in parts.items()]
    lengths = [_lengths(recipe, key, part) for key, part in parts.items()]
    prompt, response = (
        sum(size * length[place] for size, length in zip(sizes, lengths, strict=True)) / sum(sizes) for place in (0, 1)
    )
    return prompt, response


def _lengths(recipe: Recipe, key: str, part: PartSection) -> tuple[float, float]:
    """The mean lengths of one task, from a few problems where data and tokenizer are here."""
    task = _task(recipe, key, part)
    model = recipe.model
    if task is None or load_config(model.name, **model.load_options) is None:
        return _ASSUMED_TOKENS
    try:
        tokenizer: Any = load_tokenizer(model.name, **model.load_options)
        wanted = splits.parse(part.train)
        start, stop = wanted.bounds(task.split_size(wanted.split))
        problems = list(task.problems(wanted.split, start, min(stop, start + _SAMPLE_SIZE)))
    except AftuneError:
        return _ASSUMED_TOKENS
    section = recipe.prompt
    examples = choose_examples(task, problems, section.few_shot, recipe.seed)
    prompter = make_prompter(tokenizer, task, section, examples)
    prompts = [len(prompter(problem)) for problem in problems]
    responses = [len(tokenizer(task.reference_response(problem) or "")["input_ids"]) for problem in problems]
    return sum(prompts) / len(prompts), sum(responses) / len(responses)
