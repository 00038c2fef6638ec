"""What the data show about the methods against the headline baseline, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftune.recipe.names import BASELINES
from aftune.reporting.comparison.baselines import headline_baseline
from aftune.reporting.comparison.entries import Method, finished, title, title_in_a_sentence
from aftune.reporting.formatting import number, percent_interval

ALPHA = 0.05
_NAMED = 4  # more methods than this are counted in the lead and named below it


@dataclass(frozen=True)
class Finding:
    """Methods with the same result; `told` is 1 if they are above the baseline, -1 if below, 0 if the data show no difference."""

    told: int
    heading: str
    methods: list[str]


def told(difference: Mapping[str, Any]) -> int:
    """1 if above the baseline by more than chance, -1 if below, else 0; Holm's p and the interval must both say so."""
    low, high = difference["ci95"]
    if difference["p_value_holm"] > ALPHA:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def lead(results: Mapping[str, Any]) -> str:
    """Which methods are above or below the baseline by more than chance, and for which the data show no difference."""
    baseline = headline_baseline(results)
    if baseline is None:
        return "A gain over VFT cannot be shown: no VFT method is part of the comparison, or none has finished."
    compared = _compared(results, baseline)
    against = BASELINES[baseline["name"]]
    if not any(compared.values()):
        return f"There is nothing to compare yet: no other method has finished a seed that {against} has finished too."
    if not compared[1] and not compared[-1]:
        return f"The data do not show a difference: no method differs from {against} by more than chance."
    above, below, untold = compared[1], compared[-1], compared[0]
    sentences = []
    if above:
        sentences.append(f"{_are(above)} more accurate than {against} by more than chance.")
    if below:
        sentences.append(f"{_are(below)} less accurate than {'it' if above else against} by more than chance.")
    if untold:
        sentences.append(f"For {_names(untold)} the data do not show a difference.")
    return " ".join(sentences)


def findings(results: Mapping[str, Any]) -> list[Finding]:
    """All methods grouped by result, the largest difference first; empty if nothing is compared."""
    baseline = headline_baseline(results)
    if baseline is None:
        return []
    against = BASELINES[baseline["name"]]
    headings = {1: f"Above {against}", -1: f"Below {against}", 0: "No difference shown"}
    groups = _compared(results, baseline)
    return [
        Finding(side, headings[side], [_described(method, baseline) for method in groups[side]])
        for side in (1, -1, 0)
        if groups[side]
    ]


def caveat(results: Mapping[str, Any]) -> str:
    """What a reader of the lead must know about the seeds."""
    if len(results["seeds"]) > 1 or not results["runs"]:
        return ""
    return "One seed only: how much another training seed would change these numbers was not measured."


def _compared(results: Mapping[str, Any], baseline: Method) -> dict[int, list[Method]]:
    groups: dict[int, list[Method]] = {1: [], -1: [], 0: []}
    for method in finished(results):
        difference = method["differences"].get(baseline["name"])
        if difference is not None:
            groups[told(difference)].append(method)
    for methods in groups.values():
        methods.sort(key=lambda method: -method["differences"][baseline["name"]]["difference"])
    return groups


def _described(method: Method, baseline: Method) -> str:
    difference = method["differences"][baseline["name"]]
    points = number(100 * difference["difference"], 1, sign=True)
    return f"{title(method)} {points} ({percent_interval(difference['ci95'])})"


def _are(methods: Sequence[Method]) -> str:
    return f"{_names(methods)} {'is' if len(methods) == 1 else 'are'}"


def _names(methods: Sequence[Method]) -> str:
    if len(methods) > _NAMED:
        return f"{len(methods)} methods"
    titles = [title_in_a_sentence(method) for method in methods]
    return " and ".join(", ".join(part) for part in (titles[:-1], titles[-1:]) if part)
