"""Scores of better and worse candidates during alignment, a small figure for each method."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from aftune.reporting.comparison.entries import Method, finished, title, wrapped_title
from aftune.reporting.curves import Curve, LogEntry, curve, ends, mean_curve
from aftune.reporting.figures import STEPS, Figure, step_axis
from aftune.reporting.formatting import NBSP, score
from aftune.reporting.svg import COLOURS, draw

_WIDTH, _HEIGHT = 2.55, 1.75  # inches
_TITLE_WIDTH, _TITLE_LINE = 23, 0.18  # characters, inches
_KEYS = {"better": "score_better", "worse": "score_worse"}
_LOOKS: dict[str, tuple[str, Any]] = {"better": ("right", "-"), "worse": ("wrong", (0, (4, 1.6)))}


def score_curves(method: Method, logs: Mapping[tuple[str, int], Sequence[LogEntry]], seeds: Sequence[int]) -> dict[str, Curve]:
    """Means over seeds of the curves in the method's logs, by whose scores they show: better or worse candidates."""
    found = {}
    for label, key in _KEYS.items():
        own = [line for seed in seeds if (line := curve(logs.get((method["name"], seed), ()), key))]
        if line := mean_curve(own):
            found[label] = line
    return found


def score_figures(results: Mapping[str, Any], logs: Mapping[tuple[str, int], Sequence[LogEntry]]) -> list[Figure]:
    """One for each method that logged scores, all with the same y axis."""
    found = [(method, score_curves(method, logs, results["seeds"])) for method in finished(results)]
    found = [(method, curves) for method, curves in found if curves]
    values = [value for _, curves in found for line in curves.values() for value in line.values]
    if not values:
        return []
    room = 0.06 * (max(values) - min(values)) or 0.01
    limits = min(values) - room, max(values) + room
    lines = max(wrapped_title(method, _TITLE_WIDTH).count("\n") for method, _ in found)
    return [_figure(method, curves, limits, _HEIGHT + _TITLE_LINE * lines) for method, curves in found]


def _figure(method: Method, curves: Mapping[str, Curve], limits: tuple[float, float], height: float) -> Figure:
    def paint(axes: Axes) -> None:
        for label, line in curves.items():
            name, style = _LOOKS[label]
            dot = "o" if len(line.steps) == 1 else ""
            axes.plot(line.steps, line.values, color=COLOURS[name], linestyle=style, marker=dot)
        axes.set_ylim(*limits)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
        step_axis(axes, 4)
        axes.set_xlabel("")
        axes.set_title(wrapped_title(method, _TITLE_WIDTH))

    last = ", ".join(f"{label}{NBSP}{score(ends(line)[1])}" for label, line in curves.items())
    description = f"Scores during alignment, {title(method)}; means of the last tenth: {last}"
    return Figure(draw(f"scores-{method['name']}", description, paint, height, _WIDTH), f"Last tenth: {last}.")
