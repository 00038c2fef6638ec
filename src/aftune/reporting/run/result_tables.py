"""The headline: accuracy and assessment accuracy of each model, and what the data show of their differences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftune.common.wording import counted
from aftune.recipe.names import CONTROLS, ModelName, method_name, model_names, start_name
from aftune.reporting.formatting import MISSING, PER_CENT, count, evidence, percent, percent_interval, points, score
from aftune.reporting.run.data import ReportData

_FEW = 20  # problems: with fewer, an interval of assessment accuracy is some 30 points wide


@dataclass(frozen=True)
class ResultRow:
    """One model in the headline table; an interval is empty if there is none."""

    name: ModelName
    accuracy: str
    accuracy_interval: str
    assessment: str
    assessment_interval: str
    score_right: str
    score_wrong: str
    truncated: str


@dataclass(frozen=True)
class Comparison:
    """The aligned model against another one, in words; `told` is 1 if above, -1 if below, 0 if the data show no difference."""

    other: ModelName
    told: int
    sentence: str


@dataclass(frozen=True)
class Breakdown:
    """A metric by kind of problem: each of `rows` has a model and one text per column; `corner` is the top left heading."""

    corner: str
    columns: list[str]
    rows: list[tuple[ModelName, list[str]]]


def lead(data: ReportData) -> list[str]:
    """Whether it worked, in plain sentences: accuracy against the control where there is one, else against the model that alignment
    started from, then assessment accuracy before and after. Empty where one of the two models was not measured."""
    align, results = data.recipe.align, data.metrics["results"]
    (start,) = model_names([start_name(data.recipe)], data.recipe)
    if start.key not in results or "aligned" not in results:
        return []
    what = "Alignment" if align.alignment_weight else method_name(align)
    return [_accuracy_told(what, _rival(data, start), data), *_assessment_told(results[start.key], results["aligned"])]


def _rival(data: ReportData, start: ModelName) -> ModelName:
    """The model that shows what alignment itself did: trained for as long without it, if the run has one."""
    control = CONTROLS[data.recipe.control.match].key
    key = control if control in data.metrics["results"] else start.key
    return model_names([key], data.recipe)[0]


def _accuracy_told(what: str, rival: ModelName, data: ReportData) -> str:
    results, ours = data.metrics["results"], method_name(data.recipe.align)
    after, before = results["aligned"]["accuracy"], results[rival.key]["accuracy"]
    problems = counted(results["aligned"]["num_problems"], "test problem")
    if not any(result["accuracy"] for result in results.values()):
        return f"No model answers a single one of {problems} right, so nothing can be said of {ours}."
    answered = f"{ours} answers {percent(after)} of {problems} right, {rival.phrase} {percent(before)}"
    values = data.metrics.get("comparisons", {}).get(f"aligned_vs_{rival.key}")
    if values is None:
        return f"{answered}."
    told = _told(values)
    verdict = {
        1: f"{what} raised accuracy",
        -1: f"{what} lowered accuracy",
        0: f"Whether {'alignment' if what == 'Alignment' else what} changed accuracy cannot be told from these problems",
    }[told]
    interval = f"95{PER_CENT} interval {percent_interval(values['ci95'])}"
    return f"{verdict}: {answered}; {points(values['difference'], sign=True)} ({interval})."


def _assessment_told(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    shares = before.get("assessment_accuracy"), after.get("assessment_accuracy")
    if None in shares:
        return []
    number = after["num_assessed_problems"]
    if number < _FEW:
        return [
            f"Whether it tells right answers from wrong ones better cannot be told: only {counted(number, 'test problem')} "
            f"{'has' if number == 1 else 'have'} both."
        ]
    return [
        f"Of a right and a wrong answer it gives the right one the higher score in {percent(shares[1])} of pairs, before in "
        f"{percent(shares[0])}."
    ]


def _told(values: Mapping[str, Any]) -> int:
    low, high = values["ci95"]
    return 1 if low > 0 else -1 if high < 0 else 0


def result_rows(data: ReportData) -> list[ResultRow]:
    results = data.metrics["results"]
    return [_row(name, results[name.key]) for name in model_names(results, data.recipe)]


def _row(name: ModelName, result: Mapping[str, Any]) -> ResultRow:
    truncated = result.get("num_truncated")
    return ResultRow(
        name=name,
        accuracy=percent(result["accuracy"]),
        accuracy_interval=percent_interval(result.get("accuracy_ci95")),
        assessment=percent(result.get("assessment_accuracy")),
        assessment_interval=percent_interval(result.get("assessment_accuracy_ci95")),
        score_right=score(result.get("score_right")),
        score_wrong=score(result.get("score_wrong")),
        truncated=MISSING if truncated is None else f"{count(truncated)} of {count(result['num_problems'])}",
    )


def comparisons(data: ReportData) -> list[Comparison]:
    """The aligned model minus each of the others, the closest rivals first."""
    found = data.metrics.get("comparisons", {})
    keys = [key.removeprefix("aligned_vs_") for key in found]
    ours = method_name(data.recipe.align)
    return [_comparison(ours, name, found[f"aligned_vs_{name.key}"]) for name in reversed(model_names(keys, data.recipe))]


def _comparison(ours: str, other: ModelName, values: Mapping[str, Any]) -> Comparison:
    difference, (low, high), p = values["difference"], values["ci95"], values["p_value"]
    told = _told(values)
    interval = evidence(percent_interval((low, high)), p)
    if told == 0:
        measured = f"{points(difference, sign=True)} measured"
        sentence = f"The data do not show a difference between {ours} and {other.phrase}: {measured} ({interval})."
    else:
        side = "above" if told > 0 else "below"
        sentence = f"{ours} is {points(difference)} {side} {other.phrase} ({interval})."
        if p > 0.05:
            sentence += " The interval and the test disagree: a borderline case."
    return Comparison(other, told, sentence)


def operations_table(data: ReportData) -> Breakdown | None:
    """None if the task does not count operations."""
    tables = {key: result.get("accuracy_by_num_operations") or {} for key, result in data.metrics["results"].items()}
    keys = operation_keys(tables)
    if not keys:
        return None
    sizes = Counter(str(group.problem.metadata.get("num_operations")) for group in data.groups)
    return _breakdown("Operations", tables, keys, sizes, data)


def task_tables(data: ReportData) -> list[Breakdown]:
    """Accuracy and assessment accuracy by task; empty if there is only one task."""
    results = data.metrics["results"]
    found = []
    for corner, metric, sizes in (
        ("Accuracy", "accuracy_by_task", "num_problems_by_task"),
        ("Assessment accuracy", "assessment_accuracy_by_task", "num_assessed_problems_by_task"),
    ):
        tables = {key: result[metric] for key, result in results.items() if metric in result}
        if tables:
            first = next(key for key in results if key in tables)
            found.append(_breakdown(corner, tables, sorted(tables[first]), results[first].get(sizes, {}), data))
    return found


def _breakdown(
    corner: str,
    tables: Mapping[str, Mapping[str, float | None]],
    keys: Sequence[str],
    sizes: Mapping[str, int],
    data: ReportData,
) -> Breakdown:
    columns = [f"{key} (n = {count(sizes[key])})" if sizes.get(key) else key for key in keys]
    names = model_names(tables, data.recipe)
    return Breakdown(corner, columns, [(name, [percent(tables[name.key].get(key)) for key in keys]) for name in names])


def operation_keys(tables: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Numbers of operations in ascending order; JSON has turned them into texts."""
    return sorted({key for table in tables.values() for key in table}, key=lambda key: (len(key), key))
