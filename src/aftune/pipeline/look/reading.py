"""What a run has of a problem: its candidates with their verdicts, their scores before and after alignment, greedy answers."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aftune.common.errors import UsageError
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.look.places import check_run, is_comparison, is_method
from aftune.pipeline.recipe_task import default_feedback
from aftune.pipeline.registry import EVALUATE, LABEL, PREPARE, in_round, policies
from aftune.recipe import Recipe, load_recipe
from aftune.recipe.names import model_names
from aftune.records import Group, GroupScores, JudgedResponse, Problem, iter_records

MODELS = ("base", "vft", "aligned")  # that are shown side by side
_NEAR = 3


@dataclass(frozen=True)
class Shown:
    """A problem of a run. part: `training`, `training, round 2` or `held out`. group: None where no candidate was kept.

    greedy: by model, its answer to a held-out problem; scores: by model, those of the group's candidates, nats per token.
    """

    part: str
    problem: Problem
    group: Group | None
    greedy: Mapping[str, JudgedResponse] = field(default_factory=dict)
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def is_mixed(self) -> bool:
        return self.group is not None and self.group.has_pairs

    def change(self) -> str:
        """`gained` where only the aligned model has the right answer, `lost` where only VFT has it, else `none`."""
        if not {"vft", "aligned"} <= self.greedy.keys() or self.greedy["vft"].right == self.greedy["aligned"].right:
            return "none"
        return "gained" if self.greedy["aligned"].right else "lost"


@dataclass(frozen=True)
class Reading:
    """A run's problems to look at. names: what its models are called, by key, in the order of training."""

    recipe: Recipe
    names: Mapping[str, str]
    problems: Sequence[Shown]

    @property
    def ranked(self) -> bool:
        """Whether alignment compares candidates by rank."""
        asked = self.recipe.align.feedback
        return (default_feedback(self.recipe) if asked == "task" else asked) == "ranking"


def read_problems(path: Path, parts: Sequence[str] = ("training", "held out"), which: str = "all") -> Reading:
    """The problems of a run, mixed ones first, else in the order of the data. which: only mixed ones, or those whose greedy answer
    is right only after alignment (`gained`) or only before (`lost`).

    Raises UsageError for a folder that is no run, and for one that has no groups yet.
    """
    recipe, run = _opened(path)
    found = [shown for shown in _problems(recipe, run) if shown.part.partition(",")[0] in parts]
    wanted = [shown for shown in found if which == "all" or (shown.is_mixed if which == "mixed" else shown.change() == which)]
    return Reading(recipe, _names(recipe), sorted(wanted, key=lambda shown: not shown.is_mixed))


def read_problem(path: Path, name: str) -> Reading:
    """One problem, once for each part of the run that has it; raises UsageError, with ids that are like it, where none has."""
    recipe, run = _opened(path)
    everything = list(_problems(recipe, run))
    found = [shown for shown in everything if shown.problem.id == name]
    if not found:
        near = difflib.get_close_matches(name, {shown.problem.id: None for shown in everything}, n=_NEAR, cutoff=0.5)
        prepared = run.ready_folder(PREPARE.name)
        if prepared is not None and any(one.id == name for one in iter_records(prepared / "validation.jsonl", Problem)):
            raise UsageError(f"{path}: {name} is a validation problem; no candidates were sampled for those, and nothing is shown")
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"`aftune show {path}` lists them"
        raise UsageError(f"{path}: has no problem {name!r}; {hint}")
    return Reading(recipe, _names(recipe), found)


def _opened(path: Path) -> tuple[Recipe, RunDirectory]:
    check_run(path)
    if is_comparison(path) or is_method(path):
        what = "a comparison" if is_comparison(path) else "one method of a comparison"
        seed = path / "seed-N" if is_comparison(path) else path.parent.parent
        raise UsageError(f"{path}: is {what}, and its groups are those of a seed; give {seed}")
    run = RunDirectory(path)
    recipe = load_recipe(path / "recipe.yaml").model_copy(update={"run_dir": path})
    if run.ready_folder(LABEL.name) is None and run.ready_folder(EVALUATE.name) is None:
        raise UsageError(
            f"{path}: has no groups yet, since stage {LABEL.name} is not finished; `aftune status {path}` says how far it is"
        )
    return recipe, run


def _names(recipe: Recipe) -> dict[str, str]:
    return {name.key: name.label for name in model_names([key for key in policies(recipe) if key in MODELS], recipe)}


def _problems(recipe: Recipe, run: RunDirectory) -> Iterator[Shown]:
    for number in range(1, recipe.rounds + 1):
        folder = run.ready_folder(in_round(LABEL.name, number))
        part = "training" if recipe.rounds == 1 else f"training, round {number}"
        if folder is not None:
            yield from (Shown(part, group.problem, group) for group in iter_records(folder / "groups.jsonl", Group))
    evaluated, prepared = run.ready_folder(EVALUATE.name), run.ready_folder(PREPARE.name)
    held_out = run.ready_folder("held_out")
    if evaluated is not None and prepared is not None:
        yield from _held_out(iter_records(prepared / "test.jsonl", Problem), evaluated)
    elif held_out is not None:
        yield from (Shown("held out", group.problem, group) for group in iter_records(held_out / "groups.jsonl", Group))


def _held_out(problems: Iterable[Problem], folder: Path) -> Iterator[Shown]:
    groups = {group.problem.id: group for group in iter_records(folder / "groups.jsonl", Group)}
    models = [name for name in MODELS if (folder / name / "verdicts.jsonl").is_file()]
    greedy = {
        name: {one.problem_id: one for one in iter_records(folder / name / "verdicts.jsonl", JudgedResponse)} for name in models
    }
    scores = {
        name: {one.problem_id: one.scores for one in iter_records(folder / name / "scores.jsonl", GroupScores)} for name in models
    }
    for problem in problems:
        key = problem.id
        answers = {name: own[key] for name, own in greedy.items() if key in own}
        of_group = {name: own[key] for name, own in scores.items() if key in own}
        yield Shown("held out", problem, groups.get(key), answers, of_group)
