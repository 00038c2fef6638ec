"""The tables of methods: accuracy and differences, what else was measured, votes."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aftune.common.wording import duration
from aftune.recipe.names import BASELINES
from aftune.reporting.comparison.entries import Method, colour_name, finished, mean, metric, title
from aftune.reporting.comparison.findings import told
from aftune.reporting.formatting import MISSING, NBSP, count, number, p_value, percent, percent_interval, score


@dataclass(frozen=True)
class Cell:
    """A number and what is below it; `told` is 1 or -1 for a difference that is more than chance."""

    text: str
    below: str = ""
    told: int = 0


@dataclass(frozen=True)
class Row:
    title: str
    colour: str
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """Some columns for all methods; a heading has one text per line."""

    title: str
    columns: list[tuple[str, ...]]
    rows: list[Row]


Column = tuple[tuple[str, ...], Callable[[Method], Cell | None]]


def tables(results: Mapping[str, Any]) -> list[Table]:
    """The table of methods in parts that fit on a page; columns that no method has are left out, and so are empty parts."""
    methods = finished(results)
    parts = (
        ("Accuracy and differences", _accuracy_columns(methods)),
        ("Scores, responses and training", _OTHER_COLUMNS),
        ("By task", _task_columns(methods)),
        ("Votes and pass@k", _vote_columns(results, methods)),
    )
    found = [_table(heading, columns, methods) for heading, columns in parts]
    return [table for table in found if table.columns]


def _table(heading: str, columns: Iterable[Column], methods: Iterable[Method]) -> Table:
    filled = [(names, {method["name"]: cell for method in methods if (cell := show(method))}) for names, show in columns]
    filled = [(names, cells) for names, cells in filled if cells]
    rows = [
        Row(title(method), colour_name(method), [cells.get(method["name"], Cell(MISSING)) for _, cells in filled])
        for method in methods
    ]
    return Table(heading, [names for names, _ in filled], rows)


def _accuracy_columns(methods: Iterable[Method]) -> list[Column]:
    titles = {method["name"]: title(method) for method in methods}
    return [
        (("Accuracy",), _accuracy),
        *((("minus", titles.get(name, name)), _difference(name)) for name in BASELINES),
    ]


def _accuracy(method: Method) -> Cell | None:
    found = metric(method, "accuracy")
    return Cell(_share(found), percent_interval(found.get("ci95_problems"))) if found else None


def _difference(baseline: str) -> Callable[[Method], Cell | None]:
    def show(method: Method) -> Cell | None:
        found = method["differences"].get(baseline)
        if found is None:
            return None
        below = f"{percent_interval(found['ci95'])}, p{NBSP}{p_value(found['p_value_holm'])}"
        return Cell(number(100 * found["difference"], 1, sign=True), below, told(found))

    return show


def _share(found: Mapping[str, Any]) -> str:
    """Per cent with the standard deviation over seeds, where there are several."""
    spread = "" if found.get("sd") is None else f"{NBSP}±{NBSP}{number(100 * found['sd'], 1)}"
    return percent(found["mean"]) + spread


def _shares(name: str) -> Callable[[Method], Cell | None]:
    return lambda method: Cell(_share(metric(method, name))) if metric(method, name) else None


def _mean(name: str, show: Callable[[float], str]) -> Callable[[Method], Cell | None]:
    def cell(method: Method) -> Cell | None:
        value = mean(method, name)
        return None if value is None else Cell(show(value))

    return cell


_OTHER_COLUMNS: list[Column] = [
    (("Assessment", "accuracy"), _shares("assessment_accuracy")),
    (("Mean score,", "right"), _mean("score_right", score)),
    (("Mean score,", "wrong"), _mean("score_wrong", score)),
    (("Perplexity of", "references"), _mean("reference_perplexity", lambda value: number(value, 3))),
    (("Repetition",), _mean("repetition", percent)),
    (("Mean", "words"), _mean("mean_words", lambda value: number(value, 1))),
    (("Optimizer", "steps"), _mean("optimizer_steps", lambda value: count(round(value)))),
    (("Training", "time"), _mean("seconds", duration)),
]


def _task_columns(methods: Iterable[Method]) -> list[Column]:
    """Where there are several tasks, their metrics are named `accuracy.arithmetic`."""
    names = dict.fromkeys(name for method in methods for name in method["metrics"])
    return [
        ((heading, name.removeprefix(f"{key}.")), _shares(name))
        for key, heading in (("accuracy", "Accuracy,"), ("assessment_accuracy", "Assessment,"))
        for name in names
        if name.startswith(f"{key}.")
    ]


def _vote_columns(results: Mapping[str, Any], methods: Iterable[Method]) -> list[Column]:
    numbers = sorted({row["num_votes"] for row in results["runs"] if row.get("num_votes")})
    k = str(numbers[0]) if len(numbers) == 1 else "k"
    names = {name for method in methods for name in method["metrics"]}
    passed = sorted(int(match[1]) for name in names if (match := re.fullmatch(r"pass_at_(\d+)", name)))
    return [
        (("Majority", f"vote of {k}"), _shares("vote_accuracy")),
        (("Weighted", f"vote of {k}"), _shares("weighted_vote_accuracy")),
        (("Best", f"of {k}"), _shares("best_of_k_accuracy")),
        *(((f"pass@{number_of}",), _mean(f"pass_at_{number_of}", percent)) for number_of in passed),
    ]
