"""The paper's pilot: over VFT models of different quality, do task accuracy and assessment accuracy rise together?

    python benchmarks/pilot.py recipes/pilot.yaml [section.key=value ...] [--sizes 100,250,500] [--epochs 1,2,4,10] [--seeds 1]

For each size and each number of epochs, VFT on the first so many training problems, with the recipe's other settings; a schedule
ends with the last epoch, so no model is a half-way mark of another. As always with VFT, the model of the best epoch by validation
accuracy is kept ("epoch kept"): a model is the best of so many epochs.

All models are measured on the same test problems: greedy accuracy, and assessment accuracy on two kinds of candidates.
*Common*: those of one model for all, the one with the most problems and epochs (`evaluate.num_candidates`, without duplicates).
*Own*: each model's own samples (`evaluate.num_votes`, 2 or more; equal ones count as often as they were drawn). Which of them the
paper used is not known. With several seeds, the test problems of all seeds count together.

Every model is a run below the recipe's `run_dir`, whose finished stages are not made again. Prints a table and Pearson's r, and
writes `pilot-common.svg` and `pilot-own.svg` into `run_dir`.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from claims import figures, table
from matplotlib.axes import Axes

from aftune.common.progress import console
from aftune.evaluation.assessment import assessment_accuracy
from aftune.evaluation.statistics import Correlation, Interval, mean_interval, pearson, share_interval
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import Shared
from aftune.pipeline.precision_choice import settle
from aftune.pipeline.registry import HELD_OUT, MEASURE, PREPARE, SFT
from aftune.pipeline.runner import run_stages
from aftune.recipe import Recipe, load_recipe, with_settings
from aftune.records import Group, GroupScores, JudgedResponse, Problem, Votes
from aftune.records.large_files import RecordFile
from aftune.records.questions import question_key
from aftune.reporting.comparison.labels import label_points
from aftune.reporting.figures import Marker, interval_mark, legend_above, share_axis, values_axis
from aftune.reporting.formatting import percent
from aftune.reporting.svg import COLOURS, draw
from aftune.tasks import splits

_SOURCE = [PREPARE, SFT, HELD_OUT]
_MARKERS = [Marker(COLOURS[name], shape) for name, shape in zip(("vft", "wrong", "aligned", "control"), "osD^", strict=True)]

Values = dict[str, list[float]]  # by question, one value for each seed that has the question


@dataclass(frozen=True, order=True)
class Setting:
    """What a model of the grid is trained on: the first `size` training problems, `epochs` times."""

    size: int
    epochs: float

    @property
    def name(self) -> str:
        return f"train-{self.size}-epochs-{self.epochs:g}"

    def recipe(self, recipe: Recipe, seed: int) -> Recipe:
        split = splits.parse(recipe.task.train).split
        folder = recipe.run_dir / f"seed-{seed}" / self.name
        changes = {"task.train": f"{split}[:{self.size}]", "sft.num_epochs": float(self.epochs)}
        return with_settings(recipe, {**changes, "seed": seed, "run_dir": str(folder)}, "pilot")


def grid(sizes: Iterable[int], epochs: Iterable[float]) -> list[Setting]:
    """The models, the one that the common candidates come from first."""
    *others, largest = sorted({Setting(size, number) for size, number in product(sizes, epochs)})
    return [largest, *others]


def run(recipe: Recipe, settings: Sequence[Setting], seed: int) -> None:
    """Makes and measures whatever is not finished."""
    source = settings[0].recipe(recipe, seed)
    shared = Shared(source, _SOURCE)
    run_stages(source, report=console.print, stages=[*_SOURCE, MEASURE])
    for setting in settings[1:]:
        run_stages(setting.recipe(recipe, seed), report=console.print, stages=[PREPARE, SFT, MEASURE], shared=shared)


@dataclass
class Measured:
    """A model over its seeds: values by question, and the epoch that each seed kept."""

    right: Values
    common: Values
    own: Values
    kept: list[int]


def measured(recipe: Recipe, setting: Setting, source: Setting, seeds: Iterable[int]) -> Measured:
    found = Measured({}, {}, {}, [])
    for seed in seeds:
        folder = setting.recipe(recipe, seed).run_dir
        problems = RecordFile(folder / "prepare" / "test.jsonl", Problem)
        keys = [question_key(problem.question, problem.options) for problem in problems]
        groups = RecordFile(source.recipe(recipe, seed).run_dir / "held_out" / "groups.jsonl", Group)
        scores = RecordFile(folder / "measure" / "scores.jsonl", GroupScores)
        add(found.right, keys, (verdict.right for verdict in RecordFile(folder / "measure" / "verdicts.jsonl", JudgedResponse)))
        in_common = (assessment_accuracy(row.scores, group.qualities) for group, row in zip(groups, scores, strict=True))
        add(found.common, keys, in_common)
        if recipe.evaluate.num_votes > 1:
            votes = RecordFile(folder / "measure" / "votes.jsonl", Votes)
            add(found.own, keys, (assessment_accuracy(vote.scores, vote.right) for vote in votes))
        found.kept.append(RunDirectory(folder).entry("sft")["summary"].get("best_epoch", setting.epochs))
    return found


def add(values: Values, keys: Sequence[str], new: Iterable[float | None]) -> None:
    """One more seed's values; None where a question has no pair."""
    for key, value in zip(keys, new, strict=True):
        if value is not None:
            values.setdefault(key, []).append(float(value))


def by_question(values: Values) -> list[float]:
    """Means over seeds: a question that all seeds share counts once."""
    return [float(np.mean(own)) for own in values.values()]


def mean(values: Values) -> float:
    return float(np.mean(by_question(values))) if values else float("nan")


def shown(values: Values) -> str:
    """The mean in per cent with its 95 % interval over questions."""
    if not values:
        return "-"
    low, high = (100 * bound for bound in share_interval(by_question(values)))
    return f"{100 * mean(values):.1f} [{low:.1f}, {high:.1f}]"


def rows(found: Mapping[Setting, Measured]) -> list[list[str]]:
    return [
        [
            str(setting.size),
            f"{setting.epochs:g}",
            ", ".join(map(str, own.kept)),
            shown(own.right),
            shown(own.common),
            shown(own.own),
            str(len(own.own)),
        ]
        for setting, own in found.items()
    ]


def judgement_rows(found: Mapping[Setting, Measured]) -> list[list[str]]:
    """Assessment accuracy on common candidates minus that of the model they are from, question by question, in points."""
    last = max(found)
    result = []
    for setting in list(found)[:-1]:
        own, theirs = found[setting].common, found[last].common
        gaps = [float(np.mean(own[key]) - np.mean(theirs[key])) for key in theirs]
        told = figures("assessment accuracy", (float(np.mean(gaps)), mean_interval(gaps))) if gaps else "-"
        result.append([f"{setting.name} minus {last.name}", told])
    return result


def correlation(found: Mapping[Setting, Measured], kind: str) -> Correlation | None:
    """Pearson's r of accuracy and assessment accuracy over the models; None where there is none."""
    points = [(mean(own.right), mean(getattr(own, kind))) for own in found.values() if getattr(own, kind)]
    return pearson([accuracy for accuracy, _ in points], [assessed for _, assessed in points])


def correlation_rows(found: Mapping[Setting, Measured]) -> list[list[str]]:
    """r over all models, and over those of more than the fewest epochs: does it hang on models that have hardly been trained?"""
    fewest = min(setting.epochs for setting in found)
    longer = {setting: own for setting, own in found.items() if setting.epochs > fewest}
    chosen = {"all": found, f"without {fewest:g} epoch{'s' * (fewest != 1)}": longer}
    result = []
    for name, models in chosen.items():
        values = [correlation(models, kind) for kind in ("common", "own")]
        texts = ["-" if r is None else f"{r.r:.2f} [{r.interval[0]:.2f}, {r.interval[1]:.2f}]" for r in values]
        result.append([name, str(len(models)), *texts])
    return result


def figure(found: Mapping[Setting, Measured], kind: str) -> str:
    """A point for each model with its intervals, a colour for each size, named by its epochs; an SVG file."""
    sizes = sorted({setting.size for setting in found})
    markers = {size: _MARKERS[place % len(_MARKERS)] for place, size in enumerate(sizes)}
    models = [(setting, own.right, getattr(own, kind)) for setting, own in found.items() if getattr(own, kind)]

    def paint(axes: Axes) -> None:
        for size, marker in markers.items():
            axes.plot([], [], marker.shape, color=marker.colour, label=f"{size} problems")
        for setting, right, assessed in models:
            axes.plot(_interval(assessed), [mean(right)] * 2, color=markers[setting.size].colour, linewidth=0.8, alpha=0.45)
            said = f"{setting.size} problems: accuracy {percent(mean(right))}, assessment accuracy {percent(mean(assessed))}"
            interval_mark(axes, mean(right), _interval(right), mean(assessed), markers[setting.size], said, upright=True)
        axes.set_xlabel(f"assessment accuracy, {kind} candidates")
        axes.set_ylabel("accuracy")
        axes.margins(0.1)
        values_axis(axes)
        share_axis(axes)
        legend_above(axes)
        points = [(mean(assessed), mean(right)) for _, right, assessed in models]
        names = [f"{setting.epochs:g}" for setting, _, _ in models]
        label_points(axes, points, names, [markers[setting.size].colour for setting, _, _ in models])

    values = ", ".join(f"{s.size} x {s.epochs:g}: {100 * mean(a):.1f} at {100 * mean(b):.1f}" for s, a, b in models)
    return standalone(draw(f"pilot {kind}", f"Accuracy at assessment accuracy, per cent: {values}", paint, height=4.2))


def _interval(values: Values) -> Interval:
    return share_interval(by_question(values))


def standalone(svg: str) -> str:
    """A figure of a page as a file of its own, with its colours and a font."""
    colours = "; ".join(f"--{name}: {value}" for name, value in COLOURS.items())
    style = f"<style>svg {{ {colours}; background: var(--paper); font-family: sans-serif }}</style>"
    start, end, rest = svg.partition(">")
    return f"{start}{end}{style}{rest}\n"


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def measure_grid(recipe: Recipe, settings: Sequence[Setting], num_seeds: int) -> None:
    """All of it: runs, table and figures."""
    seeds = range(recipe.seed, recipe.seed + num_seeds)
    folders = [setting.recipe(recipe, seed).run_dir for seed in seeds for setting in settings]
    recipe = settle(recipe, [RunDirectory(folder) for folder in folders]).recipe
    for seed in seeds:
        run(recipe, settings, seed)
    found = {setting: measured(recipe, setting, settings[0], seeds) for setting in sorted(settings)}
    print()
    of = "assessment accuracy, %"
    header = ["problems", "epochs", "epoch kept", "accuracy, %", f"{of}: common", f"{of}: own", "problems with own pairs"]
    table(header, rows(found))
    table(["models", "number", "r, common candidates", "r, own candidates"], correlation_rows(found))
    table(["models", "difference of assessment accuracy, common candidates, points"], judgement_rows(found))
    print(f"Common candidates: of {settings[0].name}; {len(found[settings[0]].common)} problems have pairs.")
    for kind in ("common", "own") if recipe.evaluate.num_votes > 1 else ("common",):
        path = recipe.run_dir / f"pilot-{kind}.svg"
        path.write_text(figure(found, kind), encoding="utf-8")
        print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--sizes", type=numbers, default="100,250,500", help="numbers of training problems")
    parser.add_argument("--epochs", type=numbers, default="1,2,4,10")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counting up from the recipe's")
    args = parser.parse_intermixed_args()
    measure_grid(load_recipe(args.recipe, args.overrides), grid(map(int, args.sizes), args.epochs), args.seeds)


if __name__ == "__main__":
    main()
