"""Accuracy against beta and against k, for methods that were run with several values and are otherwise alike."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aftune.common.wording import visible
from aftune.recipe.names import beta_unit
from aftune.reporting.comparison.baselines import headline_baseline
from aftune.reporting.comparison.entries import Method, colour, finished, mean, metric
from aftune.reporting.comparison.plots import baseline_line, baseline_words, mark
from aftune.reporting.figures import STEPS, Figure, decades, share_axis
from aftune.reporting.formatting import PER_CENT, percent, setting
from aftune.reporting.svg import COLOURS, draw

_DECADES = 5  # from this ratio of the largest to the smallest value on, the axis is logarithmic


@dataclass(frozen=True)
class Setting:
    """What is varied: the key in the recipe, and the metric with the value that was used."""

    name: str
    key: str
    metric: str


BETA = Setting("beta", "align.beta", "beta")
K = Setting("k", "align.num_candidates", "k")


@dataclass(frozen=True)
class Sweep:
    """Methods that differ in one setting only, in the order of its value."""

    setting: Setting
    title: str
    methods: list[Method]
    values: list[float]


def sweeps(results: Mapping[str, Any], of: Setting) -> list[Sweep]:
    """Groups of at least two finished methods that differ in this setting only; beta counts only where there is a boundary."""
    groups: dict[str, list[tuple[float, Method]]] = {}
    for method in finished(results):
        value = _value(method, of)
        if value is not None and metric(method, "accuracy"):
            same = {key: value for key, value in method["settings"].items() if key != of.key}
            kind = json.dumps([method["name"].partition(":")[0], same], sort_keys=True)
            groups.setdefault(kind, []).append((value, method))
    found = []
    for group in groups.values():
        group.sort(key=lambda item: item[0])
        values = [value for value, _ in group]
        if len(group) > 1:
            methods = [method for _, method in group]
            found.append(Sweep(of, _common_title(methods), methods, values))
    return found


def _value(method: Method, of: Setting) -> float | None:
    """The value that was used, averaged over seeds; None if the method has no such setting."""
    if of is BETA and method["constraint"] != "boundary":
        return None
    used, asked = mean(method, of.metric), method["settings"].get(of.key)
    return used if used is not None else asked if isinstance(asked, int | float) else None


def _common_title(methods: Sequence[Method]) -> str:
    """The parts that all titles share: `AFT-BC, k 4` for two with different betas."""
    parts = [method["title"].split(", ") for method in methods]
    return visible(", ".join(part for part in parts[0] if all(part in other for other in parts)))


def sweep_figures(results: Mapping[str, Any], of: Setting) -> list[Figure]:
    """One for each sweep, all with the same y axis."""
    found = sweeps(results, of)
    baseline = headline_baseline(results)
    ends = [end for sweep in found for method in sweep.methods for end in _ends(method)]
    ends += [] if baseline is None else metric(baseline, "accuracy").get("values", [])
    return [_figure(sweep, baseline, (min(ends), max(ends))) for sweep in found]


def _ends(method: Method) -> list[float]:
    accuracy = metric(method, "accuracy")
    return [accuracy["mean"], *(accuracy.get("ci95_problems") or ())]


def _figure(sweep: Sweep, baseline: Method | None, ends: tuple[float, float]) -> Figure:
    accuracies = [metric(method, "accuracy")["mean"] for method in sweep.methods]
    automatic = [method["settings"].get(sweep.setting.key) == "auto" for method in sweep.methods]
    normalisation = sweep.methods[0]["settings"].get("align.rrhf_length_normalisation", "response")
    unit = f", {beta_unit(sweep.methods[0]['loss'], normalisation)}" if sweep.setting is BETA else ""

    def paint(axes: Axes) -> None:
        baseline_line(axes, baseline)
        axes.plot(sweep.values, accuracies, color=colour(sweep.methods[0]), linewidth=1.4)
        for place, method in enumerate(sweep.methods):
            mark(axes, method, accuracies[place], sweep.values[place], upright=True)
            if automatic[place]:
                _ring(axes, sweep.values, accuracies, place)
        _value_axis(axes, sweep)
        axes.set_xlabel(f"{sweep.setting.name}{unit}")
        room = 0.08 * (ends[1] - ends[0]) or 0.01
        axes.set_ylim(ends[0] - room, ends[1] + room)
        share_axis(axes)
        axes.set_title(f"{sweep.title}: accuracy against {sweep.setting.name}")

    shown = [
        f"{setting(float(f'{value:.3g}'))}{' (auto)' if auto else ''} {percent(accuracy)}"
        for value, accuracy, auto in zip(sweep.values, accuracies, automatic, strict=True)
    ]
    caption = f"Bars are 95{PER_CENT} intervals over problems.{baseline_words(baseline)}"
    if any(automatic):
        caption += " The ring marks beta auto, at the value that it came to (mean over seeds)."
    name = f"{sweep.setting.name}-{sweep.methods[0]['name']}"
    return Figure(draw(name, f"{sweep.title}, accuracy against {sweep.setting.name}: {', '.join(shown)}", paint), caption)


def _ring(axes: Axes, values: Sequence[float], accuracies: Sequence[float], place: int) -> None:
    """Marks a point as auto; the word goes on the free side of the line."""
    last = place == len(values) - 1
    rises = accuracies[place - 1 if last else place + 1] > accuracies[place]
    point = values[place], accuracies[place]
    axes.plot(*([number] for number in point), color=COLOURS["ink"], marker="o", markersize=13, fillstyle="none", linewidth=0)
    where = (-9 if last else 9, -14 if rises else 6)
    axes.annotate("auto", point, where, textcoords="offset points", fontsize=10, ha="right" if last else "left")


def _value_axis(axes: Axes, sweep: Sweep) -> None:
    values = np.array(sweep.values)
    if sweep.setting is K:
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=STEPS))
    elif values.min() > 0 and values.max() >= _DECADES * values.min():
        axes.set_xscale("log")
        decades(axes.xaxis)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS))
    axes.margins(x=0.08)
