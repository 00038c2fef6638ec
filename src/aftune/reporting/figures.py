"""What the figures on all pages share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from aftune.common.wording import visible
from aftune.reporting.svg import COLOURS, tip

_LABEL_LENGTH = 24  # characters
STEPS = [1, 2, 5, 10]  # round numbers on the axes
PER_CENT_AXIS = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")


@dataclass(frozen=True)
class Figure:
    """An SVG element and the caption below it."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Marker:
    """The mark for a value: a matplotlib marker, filled or open."""

    colour: str
    shape: str = "o"
    is_open: bool = False


def interval_mark(
    axes: Axes,
    value: float,
    interval: Iterable[float] | None,
    place: float,
    marker: Marker,
    said: str,
    *,
    upright: bool = False,
) -> None:
    """Draws a value with its interval as a thick line, at a place on the other axis; `upright` if values are on the y axis. `said`
    is shown to a reader who points at it."""
    face = COLOURS["paper"] if marker.is_open else marker.colour
    drawn: list[tuple[list[float], dict[str, Any]]] = [
        ([*(interval or ())], {"linewidth": 3, "solid_capstyle": "round", "alpha": 0.45}),
        ([value], {"marker": marker.shape, "markersize": 7, "markerfacecolor": face}),
    ]
    for values, look in drawn:
        places = [place] * len(values)
        for line in axes.plot(*((places, values) if upright else (values, places)), color=marker.colour, **look):
            tip(line, said)


def shortened(label: str) -> str:
    """A label that leaves room for the data, whatever it says."""
    text = visible(label)
    return text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 1]}…"


def values_axis(axes: Axes) -> None:
    """Per cent along the x axis, from 0 to 100 at most."""
    low, high = axes.get_xlim()
    axes.set_xlim(max(low, 0), min(high, 1))
    axes.tick_params(axis="y", pad=10)  # beside marks at 0
    _draw_whole(axes)
    axes.xaxis.set_major_formatter(PER_CENT_AXIS)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS))


def share_axis(axes: Axes) -> None:
    """Per cent on the y axis, from 0 to 100 at most."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), min(high, 1))
    _draw_whole(axes)
    axes.tick_params(axis="x", pad=7)  # below marks at 0
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))


def _draw_whole(axes: Axes) -> None:
    """Marks on an end of an axis are drawn whole; beyond it there is nothing that could show."""
    for line in axes.get_lines():
        line.set_clip_on(False)


def step_axis(axes: Axes, most: int = 6) -> None:
    """Optimizer steps on the x axis; `most` is one less than the largest number of ticks."""
    axes.set_xlabel("optimizer step")
    axes.xaxis.set_major_locator(MaxNLocator(most, integer=True, steps=STEPS))


def decades(axis: Axis) -> None:
    """Round numbers on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_above(axes: Axes) -> None:
    """Puts the legend between title and axes, where it hides no data."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, handlelength=1.6, columnspacing=1.2, borderpad=0
    )
