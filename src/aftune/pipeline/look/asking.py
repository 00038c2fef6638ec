"""A question of one's own, put to the models of a run or to any model, as a recipe asks its questions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune.common.errors import NotFoundError, StageError, UsageError
from aftune.common.json_text import read_json
from aftune.common.near import near
from aftune.common.process import release_memory
from aftune.common.seeds import derive_seed
from aftune.evaluation.voting import Sampled, answer_key, majority_vote
from aftune.pipeline import recipe_task
from aftune.pipeline.compare import methods
from aftune.pipeline.context import Context, context_of
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.look.places import below, is_comparison, is_method, is_run
from aftune.pipeline.look.reading import MODELS
from aftune.pipeline.precision_choice import settle
from aftune.pipeline.registry import in_round, policies
from aftune.pipeline.stages.measure import encoded_held_out
from aftune.recipe import Recipe, load_recipe, recipe_from
from aftune.recipe.names import model_names
from aftune.records import Candidate, Group, Problem
from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.scoring import group_logprobs
from aftune.tasks import Mixture, Task, find

_UNKNOWN = "?"  # stands for a gold answer where none is given


@dataclass(frozen=True)
class Question:
    """What is asked; gold: the answer that counts as right, if the user knows one."""

    text: str
    options: Sequence[str] = ()
    gold: str | None = None


@dataclass(frozen=True)
class Response:
    """right: None where no gold answer was given; score: nats per token, None where none was computed."""

    text: str
    answer: str | None
    right: bool | None
    reason: str
    truncated: bool
    score: float | None = None


@dataclass(frozen=True)
class Answers:
    """What a model answers. vote: the answer that most samples give; votes: how many each answer has, most first."""

    model: str
    greedy: Response
    samples: Sequence[Response] = ()
    vote: str | None = None
    votes: Sequence[tuple[str, int]] = ()


class Asker:
    """Asks the models of a run, or a model by itself. names: what each is called, by its key.

    models: those of a run to ask, by their keys (`base`, `vft`, `aligned`); by default these three, as far as they are finished.
    keep: whether a model stays in memory for the next question. overrides: settings of a recipe, for a model that is no run's.
    Raises UsageError for a source or a model that there is not, StageError for a model that is not finished.
    """

    def __init__(
        self, source: str, models: Sequence[str] = (), overrides: Sequence[str] = (), *, task: str | None = None, keep: bool = False
    ) -> None:
        ours = _is_ours(Path(source))
        self._context, stages = _of_run(Path(source), overrides) if ours else _of_model(source, overrides)
        self._stages = _chosen(self._context, stages, models)
        labels = {name.key: name.label for name in model_names(self._stages, self._context.recipe)}
        self.names = {key: _method_title(self._context, key) or labels[key] for key in self._stages} if ours else {"base": source}
        self.missing = [] if models else [key for key in stages if key in MODELS and key not in self._stages]
        self._task = _task_name(self._context.recipe, task)
        self._keep, self._loaded = keep, dict[tuple[str, bool], Any]()

    def ask(self, question: Question, num_samples: int = 0) -> Iterator[Answers]:
        """The answers of each model, as soon as it has given them; raises UsageError for a question that cannot be asked."""
        problem = self._problem(question)
        for key, stage in self._stages.items():
            yield self._answers(key, stage, problem, num_samples, has_gold=question.gold is not None)
            if not self._keep:
                self._loaded.clear()
                release_memory()

    def _problem(self, question: Question) -> Problem:
        context = self._context
        if not question.text.strip():
            raise UsageError("the question is empty; write one")
        if _asks_for_letters(context.task, self._task) and len(question.options) < 2:
            raise UsageError(f"task {self._task} asks with options; give them, each with --option TEXT")
        gold = question.gold or _UNKNOWN
        options = list(question.options) or None
        problem = Problem(
            id="asked", task=find(self._task).problem_task(), question=question.text, gold_answer=gold, options=options
        )
        if len(context.prompter(problem)) >= context.context_length:
            raise UsageError(f"the question does not fit into the model's context of {context.context_length:,} tokens; shorten it")
        return problem

    def _answers(self, key: str, stage: str, problem: Problem, num_samples: int, *, has_gold: bool) -> Answers:
        context = self._context
        recipe = context.recipe
        greedy = context.settings(recipe.evaluate, [problem], greedy=True)
        sampled = context.settings(recipe.sample, [problem])
        candidates = self._complete(stage, problem, greedy, 1) + self._complete(stage, problem, sampled, num_samples)
        feedback = [context.task.verdict(problem, one.text, recipe.label.reading) for one in candidates]
        scores = self._scores(stage, problem, candidates) if num_samples else [None] * len(candidates)
        responses = [
            Response(
                one.text,
                found.answer,
                bool(found.quality) if has_gold else None,
                found.reason,
                one.finish_reason == "length",
                score,
            )
            for one, found, score in zip(candidates, feedback, scores, strict=True)
        ]
        return Answers(self.names[key], responses[0], responses[1:], *_voted(responses[1:]))

    def _complete(self, stage: str, problem: Problem, settings: SamplingSettings, number: int) -> list[Candidate]:
        context = self._context
        prompt = context.prompter(problem)
        engine = TransformersEngine(self._model(stage), context.tokenizer, context.recipe.sample.batch_size)
        seeds = [derive_seed(context.recipe.seed, "try", index) for index in range(number)]
        done = dict(engine.complete([Request(prompt, seed, "the question") for seed in seeds], settings))
        return [
            Candidate(problem_id=problem.id, index=index, text=one.text, token_ids=one.token_ids, finish_reason=one.finish_reason)
            for index, one in sorted(done.items())
        ]

    def _scores(self, stage: str, problem: Problem, candidates: Sequence[Candidate]) -> list[float | None]:
        """As `evaluate` computes them; None for a response without a token."""
        places = [place for place, one in enumerate(candidates) if one.token_ids or one.finish_reason == "stop"]
        kept = [candidates[place] for place in places]
        verdicts = [self._context.task.verdict(problem, one.text) for one in kept]
        group = Group(problem=problem, candidates=kept, feedback=verdicts)
        encoded = encoded_held_out(self._context, group, None)
        [scored] = group_logprobs(self._model(stage, float32=True), [encoded]) if kept else [None]
        found = dict(zip(places, scored.scores, strict=True)) if scored else {}
        return [found.get(place) for place in range(len(candidates))]

    def _model(self, stage: str, *, float32: bool = False) -> Any:
        float32 = float32 and self._context.recipe.model.precision != "float32"
        if (stage, float32) not in self._loaded:
            self._loaded[stage, float32] = self._context.load_policy(stage, float32=float32)
        return self._loaded[stage, float32]


def _is_ours(path: Path) -> bool:
    return path.is_dir() and (is_run(path) or is_comparison(path))


def _of_run(path: Path, overrides: Sequence[str]) -> tuple[Context, dict[str, str]]:
    if overrides:
        raise UsageError(f"{overrides[0]}: a run asks as its recipe says; settings are for a model that is no run's")
    if is_comparison(path):
        raise UsageError(f"{path}: is a comparison; give one of its methods, as {path / 'seed-0' / 'methods' / 'NAME'}")
    if not is_method(path):
        context = context_of(path)
        return context, {key: stage for key, stage in policies(context.recipe).items() if key in MODELS or key.startswith("vft_")}
    recipe = load_recipe(path / "recipe.yaml").model_copy(update={"run_dir": path})
    known = RunDirectory(path).manifest()["stages"]
    trained = next((stage for stage in (in_round("align", recipe.rounds), "control", "rl") if stage in known), None)
    own = {} if trained is None else {"aligned": trained}
    return Context(recipe, RunDirectory(path), RunDirectory(path.parent.parent)), {"base": "base", "vft": "sft"} | own


def _of_model(name: str, overrides: Sequence[str]) -> tuple[Context, dict[str, str]]:
    path = Path(name)
    if not path.exists() and path.parent != Path() and next(below(path.parent), None):
        raise NotFoundError(f"{name}: no such run; {near(path) or f'`aftune runs {path.parent}` lists what there is'}")
    if path.is_dir() and not (path / "config.json").is_file() and not (path / "adapter_config.json").is_file():
        raise UsageError(f"{name}: is neither a run directory nor a model in Hugging Face format (config.json is missing)")
    recipe = recipe_from({"run_dir": ".", "model": {"name": name}, **_as_generated(path)}, overrides, "aftune try")
    if recipe.prompt.few_shot:
        raise UsageError("prompt.few_shot: examples are those of a run; leave it out, or give a run in place of the model")
    return Context(settle(recipe, []).recipe, RunDirectory(recipe.run_dir)), {"base": "base"}


def _as_generated(path: Path) -> dict[str, Any]:
    """How long a model's own generation settings let it go on, where it has some, as settings of a recipe."""
    most = read_json(path / "generation_config.json", missing={}).get("max_new_tokens")
    limit = {"max_new_tokens": most}
    return {"sample": limit, "evaluate": limit} if isinstance(most, int) else {}


def _chosen(context: Context, stages: dict[str, str], models: Sequence[str]) -> dict[str, str]:
    """The models to ask, with their stages; only finished ones."""
    for key in models:
        if key not in stages:
            raise UsageError(f"--model is {key!r}, expected one of {', '.join(stages)}")
    ready = {key: stage for key, stage in stages.items() if context.has_model(stage)}
    for key in models:
        if key not in ready:
            where = f"{context.run.path}: stage {stages[key]} is not finished"
            raise StageError(f"{where}, so there is no model {key}; `aftune status {context.run.path}` says how far it is")
    return {key: stage for key, stage in ready.items() if key in (models or MODELS)}


def _method_title(context: Context, key: str) -> str | None:
    if key == "aligned" and context.shared is not None:
        return methods.parse(methods.name_of_folder(context.run.path.name)).title
    return None


def _task_name(recipe: Recipe, wanted: str | None) -> str:
    """The task that asks; of a mixture the first one, or the wanted one."""
    names = [part.name for part in recipe_task.used(recipe).values()]
    if wanted is not None and wanted not in names:
        raise UsageError(f"--task is {wanted!r}, expected one of {', '.join(names)}, the tasks of this recipe")
    return wanted or names[0]


def _asks_for_letters(task: Task, name: str) -> bool:
    """Whether the answers of a task, or of that part of a mixture, are letters of options."""
    parts = {part.task.name: part.task for part in task.parts} if isinstance(task, Mixture) else {name: task}
    return parts[name].answer_kind.name == "choice"


def _voted(samples: Sequence[Response]) -> tuple[str | None, list[tuple[str, int]]]:
    if not samples:
        return None, []
    first: dict[Any, str] = {}
    counts: Counter[Any] = Counter()
    for one in samples:
        if one.answer is not None:
            first.setdefault(answer_key(one.answer), one.answer)
            counts[answer_key(one.answer)] += 1
    winner = majority_vote([Sampled(one.answer, bool(one.right), one.score or 0.0) for one in samples])
    return None if winner is None else winner.answer, [(first[key], number) for key, number in counts.most_common()]
