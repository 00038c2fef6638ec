"""Names beside points, only where there is room: no name hides another or a point."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

_SIZE = 8.5  # points
_GAP = 6.5  # points from the middle of a marker to its name
_ROOM = 1.5  # points between a name and anything else

Box = tuple[float, float, float, float]  # left, bottom, right, top


def label_points(axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], colours: Sequence[str]) -> None:
    """Writes the names that fit, in the order given; the limits of the axes must not change afterwards."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where the points are
    scale = 72 / figure.dpi
    places = [(float(x), float(y)) for x, y in axes.transData.transform(np.array(points)) * scale]
    left, bottom, right, top = (float(value) * scale for value in axes.bbox.extents)
    marker = _GAP - _ROOM
    taken: list[Box] = [(x - marker, y - marker, x + marker, y + marker) for x, y in places]
    for point, (x, y), name, colour in zip(points, places, names, colours, strict=True):
        text = axes.annotate(
            name, point, xytext=(0, 0), textcoords="offset points", fontsize=_SIZE, color=colour, va="bottom", ha="left"
        )
        text.set_in_layout(False)
        extent = text.get_window_extent()
        for dx, dy in _offsets(float(extent.width) * scale, float(extent.height) * scale):
            box = (x + dx, y + dy, x + dx + float(extent.width) * scale, y + dy + float(extent.height) * scale)
            inside = box[0] >= left and box[1] >= bottom and box[2] <= right and box[3] <= top
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                text.xyann = (dx, dy)
                break
        else:
            text.remove()


def _offsets(width: float, height: float) -> Iterator[tuple[float, float]]:
    """From the point to the lower left corner of its name: right, left, above, below, then the corners."""
    middle, close = -height / 2, _GAP - 2
    yield _GAP, middle
    yield -_GAP - width, middle
    yield -width / 2, _GAP
    yield -width / 2, -_GAP - height
    for dx in (close, -close - width):
        yield dx, close
        yield dx, -close - height


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] + _ROOM and other[0] < one[2] + _ROOM and one[1] < other[3] + _ROOM and other[1] < one[3] + _ROOM
