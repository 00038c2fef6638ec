"""How much data a recipe is about: problems, candidates, and lengths, those of a few problems where data and tokenizer are here."""

from dataclasses import dataclass
from typing import Any

from aftune.common.errors import AftuneError
from aftune.interchange.importers import CANDIDATES_PER_PROBLEM
from aftune.models.loading import load_config, load_tokenizer
from aftune.pipeline.context import make_prompter
from aftune.pipeline.recipe_task import SPLITS, build_one, used
from aftune.recipe import PartSection, Recipe, SampleSection, SamplingSection
from aftune.tasks import TASKS, Mixture, Task, splits
from aftune.tasks.few_shot import choose_examples

_SAMPLE_SIZE = 64  # problems looked at for their lengths


@dataclass(frozen=True)
class Lengths:
    """Tokens of prompts and reference responses: means, and those of each problem that was looked at."""

    prompt: float
    response: float
    sample: tuple[tuple[int, int], ...]

    @property
    def longest(self) -> tuple[int, int]:
        """Of the problem that is longest with its reference."""
        return max(self.sample, key=sum)

    def groups(self, k: int) -> list[int]:
        """Tokens of the prompt and k responses, as long as the reference, of each problem that was looked at."""
        return [prompt + k * response for prompt, response in self.sample]


_ASSUMED = Lengths(150, 150, ((100, 100), (150, 150), (200, 200)))  # where data or tokenizer are not here


@dataclass(frozen=True)
class Sizes:
    """Problems of each split, tokens of prompts and responses, candidates per problem in training and held out."""

    train: int
    validation: int
    test: int
    lengths: Lengths
    k: int
    k_test: int

    @classmethod
    def of(cls, recipe: Recipe) -> "Sizes":
        train, validation, test = (_num_problems(recipe, split) for split in SPLITS)
        k, k_test = num_candidates(recipe, recipe.sample), num_candidates(recipe, recipe.evaluate)
        return cls(train, validation, test, lengths(recipe), k, k_test)

    @property
    def prompt(self) -> float:
        return self.lengths.prompt

    @property
    def response(self) -> float:
        return self.lengths.response

    @property
    def row(self) -> float:
        """Tokens of a prompt with its reference."""
        return self.prompt + self.response

    def group(self, k: int) -> float:
        """Tokens of a prompt, counted once, with a reference and k candidates."""
        return self.prompt + (k + 1) * self.response


def _task(recipe: Recipe, key: str, part: PartSection) -> Task | None:
    """The task, or None where its data is not here (nothing is downloaded for an estimate)."""
    if (part.data or recipe.data) is None and not TASKS[part.name].generated:
        return None
    return build_one(recipe, key, part)


def num_candidates(recipe: Recipe, section: SamplingSection) -> int:
    """Candidates per problem: those sampled, or as many as the format of imported files says."""
    given = None if recipe.candidates is None else CANDIDATES_PER_PROBLEM.get(recipe.candidates.format)
    own = section.num_all if isinstance(section, SampleSection) else section.num_candidates
    return own if given is None else given


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


def lengths(recipe: Recipe) -> Lengths:
    """Those of all tasks, means weighted by the numbers of training problems."""
    parts = used(recipe)
    sizes = [max(_size(recipe, key, part, "train"), 1) for key, part in parts.items()]
    found = [_lengths(recipe, key, part) for key, part in parts.items()]

    def mean(name: str) -> float:
        return sum(size * float(getattr(one, name)) for size, one in zip(sizes, found, strict=True)) / sum(sizes)

    return Lengths(mean("prompt"), mean("response"), tuple(pair for one in found for pair in one.sample))


def _lengths(recipe: Recipe, key: str, part: PartSection) -> Lengths:
    """The lengths of one task, from a few problems where data and tokenizer are here."""
    task = _task(recipe, key, part)
    model = recipe.model
    if task is None or load_config(model.name, **model.load_options) is None:
        return _ASSUMED
    try:
        tokenizer: Any = load_tokenizer(model.name, **model.load_options)
        wanted = splits.parse(part.train)
        start, stop = wanted.bounds(task.split_size(wanted.split))
        problems = list(task.problems(wanted.split, start, min(stop, start + _SAMPLE_SIZE)))
    except AftuneError:
        return _ASSUMED
    section = recipe.prompt
    examples = choose_examples(task, problems, section.few_shot, recipe.seed)
    prompter = make_prompter(tokenizer, task, section, examples)
    prompts = [len(prompter(problem)) for problem in problems]
    responses = [len(tokenizer(task.reference_response(problem) or "")["input_ids"]) for problem in problems]
    sample = tuple(zip(prompts, responses, strict=True))
    return Lengths(sum(prompts) / len(prompts), sum(responses) / len(responses), sample)
