"""A method's entry in the results: its place among the others, its look, its numbers."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from aftune.common.wording import visible
from aftune.recipe.losses import LOSSES
from aftune.reporting.figures import Marker
from aftune.reporting.svg import COLOURS

Method = Mapping[str, Any]

# One colour for each loss, or for losses of one kind; markers show the constraint.
_COLOUR_NAMES = {
    "vft": "vft",
    "rft": "rft",
    "rrhf": "rrhf",
    "pro": "pro",
    "dpo": "dpo",
    "dpop": "dpo",
    "minor_dpo": "dpo",
    "bdpo": "dpo",
    "aft": "aligned",
    "simpo": "simpo",
    "ipo": "squared",
    "sppo": "squared",
    "nca": "listwise",
    "infonca": "listwise",
    "apo_zero": "squared",
    "grpo": "online",
    "rloo": "online",
}
_MARKERS = {"none": "o", "detached": "D", "boundary": "^"}
_WITHOUT_LOSS = ("rft", "grpo", "rloo")  # what is no VFT either
_NO_LOSS_MARKER, _ONLINE_MARKER = "s", "P"
MARKER_WORDS = {"s": "■ no alignment loss", "o": "● no constraint", "D": "◆ detached (DC)", "^": "▲ boundary (BC)"}  # the legend
MARKER_WORDS |= {"P": "✚ online, no alignment loss"}


def finished(results: Mapping[str, Any]) -> list[Method]:
    """Methods with at least one finished run: in the order given, those with the same loss together."""
    methods = [method for method in results["methods"] if method["num_seeds"]]
    families = list(dict.fromkeys(map(family, methods)))
    return sorted(methods, key=lambda method: families.index(family(method)))


def family(method: Method) -> str:
    """The alignment loss; vft, rft, grpo or rloo if there is none."""
    name = method["name"].partition(":")[0]
    return str(method["loss"] or (name if name in _WITHOUT_LOSS else "vft"))


def family_title(method: Method) -> str:
    found = family(method)
    return LOSSES[found].title if found in LOSSES else found.upper()


def colour_key(methods: Iterable[Method]) -> dict[str, str]:
    """What each colour stands for: `dpo`: `DPO, BDPO`."""
    titles: dict[str, dict[str, None]] = {}
    for method in methods:
        titles.setdefault(colour_name(method), {})[family_title(method)] = None
    return {name: ", ".join(found) for name, found in titles.items()}


def colour_name(method: Method) -> str:
    """A key of `COLOURS`."""
    return _COLOUR_NAMES.get(family(method), "ink")


def colour(method: Method) -> str:
    return COLOURS[colour_name(method)]


def marker(method: Method) -> Marker:
    """Its shape shows the constraint; it is open if ranking feedback was asked for."""
    without = _ONLINE_MARKER if "rl.algorithm" in method["settings"] else _NO_LOSS_MARKER
    shape = _MARKERS.get(method["constraint"], "o") if method["loss"] else without
    return Marker(colour(method), shape, is_ranking(method))


def is_ranking(method: Method) -> bool:
    """Whether ranking feedback was asked for."""
    return bool(method["settings"].get("align.feedback") == "ranking")


def title(method: Method) -> str:
    """What the method is called; visible here too, for figures wrap and measure it."""
    return visible(method["title"])


def title_in_a_sentence(method: Method) -> str:
    """The title, in quotation marks if it has a comma."""
    return f"“{title(method)}”" if "," in title(method) else title(method)


def wrapped_title(method: Method, width: int) -> str:
    """The title in at most three lines, for a figure."""
    return "\n".join(textwrap.wrap(title(method), width, max_lines=3, placeholder=" …"))


def metric(method: Method, name: str) -> Mapping[str, Any]:
    """A metric's summary over seeds with mean, sd and values; empty if it was not measured."""
    found: Mapping[str, Any] = method["metrics"].get(name) or {}
    return found


def mean(method: Method, name: str) -> float | None:
    return metric(method, name).get("mean")
