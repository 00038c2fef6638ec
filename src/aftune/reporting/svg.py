"""Matplotlib figures as inline SVG: no external parts, the page's own fonts and colours, the same bytes for the same data."""

import io
import re
import warnings
from collections.abc import Callable
from html import escape
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aftune.common.wording import visible

# Colours by the name of the CSS variable that replaces them, so that a figure follows the page into dark mode.
COLOURS = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#656d76",
    "rule": "#d5d9df",
    "base": "#6b7480",
    "vft": "#2a6fb8",
    "control": "#8a5bb5",
    "aligned": "#0b8468",
    "right": "#1b74ad",
    "wrong": "#b84d14",
    "rft": "#8f6a00",
    "rrhf": "#b5368c",
    "pro": "#6559c9",
    "dpo": "#b3402f",
    "simpo": "#00757f",
    "squared": "#4d7410",
    "listwise": "#8a4b1f",
    "online": "#4a4f57",
}
_FONT = "DejaVu Sans"  # comes with matplotlib: the layout is the same on every machine
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": [_FONT],
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlecolor": COLOURS["ink"],
    "axes.labelcolor": COLOURS["muted"],
    "axes.edgecolor": COLOURS["rule"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "text.color": COLOURS["ink"],
    "text.parse_math": False,  # a $ in a name is a $
    "legend.frameon": False,
    "legend.labelcolor": COLOURS["ink"],
    "lines.linewidth": 1.8,
}
_TIP = "tip:"
WIDTH = 4.6  # inches of 72 units: close to the width of a phone, so that the text keeps its size there


def draw(name: str, description: str, paint: Callable[[Axes], None], height: float = 2.9, width: float = WIDTH) -> Markup:
    """An SVG element with one pair of axes; sizes in inches. `name` is unique on the page, `description` is read to people who
    cannot see the figure."""
    name = visible(name)
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": f"aftune {name}"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing")  # the browser has those glyphs
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot())
        buffer = io.StringIO()
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    return Markup(_inline(buffer.getvalue(), name, description))


def tip(artist: Artist, text: str) -> None:
    """Lets an artist show a text, such as its value and interval, to a reader who points at it."""
    artist.set_gid(f"{_TIP}{' '.join(visible(text).split())}")


def _inline(svg: str, name: str, description: str) -> str:
    """Only the SVG element, scaled by the page, without ids that nothing refers to: they would repeat from figure to figure."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(description)}" data-plot="{escape(name)}"', 1)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(rf'<g id="{_TIP}([^"]*)"', r'<g data-tip="\1"', svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace(f"'{_FONT}', sans-serif", "inherit")
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable.replace('_', '-')})")
    return visible(svg).strip()
