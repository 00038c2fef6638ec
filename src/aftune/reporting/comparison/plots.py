"""Accuracy of the methods with intervals, and accuracy against assessment accuracy."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from aftune.reporting.comparison.baselines import headline_baseline
from aftune.reporting.comparison.entries import (
    Method,
    colour,
    family,
    finished,
    marker,
    mean,
    metric,
    title,
    title_in_a_sentence,
    wrapped_title,
)
from aftune.reporting.comparison.labels import label_points
from aftune.reporting.figures import Figure, interval_mark, share_axis, values_axis
from aftune.reporting.formatting import PER_CENT, evidence, number, percent, with_interval
from aftune.reporting.svg import COLOURS, draw

_LABEL_WIDTH = 24  # characters
_ROW = 0.27  # inches
_SEEDS: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.5, "markeredgewidth": 0, "alpha": 0.4}


def accuracy_figure(results: Mapping[str, Any]) -> Figure | None:
    """One row per method, those with the same loss together; None if nothing has finished."""
    methods = [method for method in finished(results) if metric(method, "accuracy")]
    if not methods:
        return None
    labels = [wrapped_title(method, _LABEL_WIDTH) for method in methods]
    places, bottom = _places(methods, labels)
    baseline = headline_baseline(results)

    def paint(axes: Axes) -> None:
        baseline_line(axes, baseline, upright=True)
        for method, place in zip(methods, places, strict=True):
            found = metric(method, "accuracy")
            axes.plot(found["values"], [place] * len(found["values"]), color=colour(method), **_SEEDS)
            mark(axes, method, found["mean"], place)
            axes.annotate(
                percent(found["mean"]),
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                fontsize=9.5,
                annotation_clip=False,
            )
        axes.set_yticks(places, labels, color=COLOURS["ink"], fontsize=9.5)
        axes.set_ylim(bottom, 0)
        axes.grid(False, axis="y")
        axes.margins(x=0.05)
        values_axis(axes)
        axes.set_title("Accuracy")

    values = ", ".join(f"{title(method)} {percent(mean(method, 'accuracy'))}" for method in methods)
    caption = f"Greedy accuracy on the test problems; bars are 95{PER_CENT} intervals over problems."
    if len(results["seeds"]) > 1:
        caption = f"Greedy accuracy on the test problems, mean over seeds; bars are 95{PER_CENT} intervals over problems, "
        caption += "small points are single seeds."
    return Figure(
        draw("accuracy", f"Accuracy: {values}", paint, height=0.7 + _ROW * bottom), f"{caption}{baseline_words(baseline)}"
    )


def _places(methods: list[Method], labels: list[str]) -> tuple[list[float], float]:
    """Where the rows are, in row heights from the top, and where the last one ends."""
    places, top = [], 0.0
    for number_of, (method, label) in enumerate(zip(methods, labels, strict=True)):
        if number_of and family(method) != family(methods[number_of - 1]):
            top += 0.5
        height = 1 + 0.6 * label.count("\n")
        places.append(top + height / 2)
        top += height
    return places, top


def mark(axes: Axes, method: Method, value: float, place: float, *, upright: bool = False) -> None:
    """A method's accuracy with its interval, in its colour and with its marker."""
    interval = metric(method, "accuracy").get("ci95_problems")
    problems = mean(method, "num_problems")
    said = with_interval(title(method), value, interval, None if problems is None else int(problems))
    interval_mark(axes, value, interval, place, marker(method), said, upright=upright)


def baseline_line(axes: Axes, baseline: Method | None, *, upright: bool = False) -> None:
    value = None if baseline is None else mean(baseline, "accuracy")
    if value is not None:
        draw_line = axes.axvline if upright else axes.axhline
        draw_line(value, color=COLOURS["muted"], linestyle=(0, (4, 2.4)), linewidth=1.1, zorder=0.5)


def baseline_words(baseline: Method | None) -> str:
    return "" if baseline is None else f" The dashed line is {title_in_a_sentence(baseline)}."


def correlation_figure(results: Mapping[str, Any]) -> Figure | None:
    """One point per method; None if assessment accuracy is not known for any."""
    methods = [method for method in finished(results) if metric(method, "accuracy") and metric(method, "assessment_accuracy")]
    if not methods:
        return None
    points = [(metric(m, "assessment_accuracy")["mean"], metric(m, "accuracy")["mean"]) for m in methods]
    colours = {method["name"]: colour(method) for method in results["methods"]}

    def paint(axes: Axes) -> None:
        for run in results["runs"] if len(results["seeds"]) > 1 else ():
            if run.get("assessment_accuracy") is not None:
                axes.plot([run["assessment_accuracy"]], [run["accuracy"]], color=colours[run["method"]], **_SEEDS)
        for method, (assessed, accuracy) in zip(methods, points, strict=True):
            said = f"{title(method)}: accuracy {percent(accuracy)}, assessment accuracy {percent(assessed)}"
            interval_mark(axes, accuracy, None, assessed, marker(method), said, upright=True)
        axes.set_xlabel("assessment accuracy")
        axes.margins(0.1)
        values_axis(axes)
        share_axis(axes)
        axes.set_title("Accuracy against assessment accuracy")
        label_points(axes, points, [title(method) for method in methods], [colour(method) for method in methods])

    values = ", ".join(
        f"{title(method)} {percent(accuracy)} at {percent(assessed)}"
        for method, (assessed, accuracy) in zip(methods, points, strict=True)
    )
    seeds = " and a small one for each seed" if len(results["seeds"]) > 1 else ""
    caption = f"One point for each method{seeds}, named where there is room. {correlation_words(results['correlation'])}"
    return Figure(draw("correlation", f"Accuracy against assessment accuracy: {values}", paint, height=4.2), caption)


def correlation_words(found: Mapping[str, Any] | None) -> str:
    """Pearson's r with its interval, or why there is none."""
    if found is None:
        return "Pearson’s r needs at least three methods that differ in both; there are too few here."
    low, high = found["ci95"]
    shown = evidence(f"{number(low, 2)} to {number(high, 2)}", found["p_value"])
    return f"Pearson’s r over the {found['num_methods']} methods: {number(found['r'], 2)} ({shown})."
