"""Questions on which a method and the headline baseline differ: one has the right answer, the other a wrong one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aftune.records import JudgedResponse, Problem
from aftune.reporting.choosing import spread
from aftune.reporting.comparison.baselines import headline_baseline
from aftune.reporting.comparison.entries import colour_name, finished, title

_SHOWN = 3  # of each kind


@dataclass(frozen=True)
class Greedy:
    """The greedy answers of a seed: its test problems, and by method a verdict for each, in their order."""

    seed: int
    problems: Sequence[Problem]
    verdicts: Mapping[str, Sequence[JudgedResponse]]


@dataclass(frozen=True)
class Example:
    problem: Problem
    ours: JudgedResponse
    theirs: JudgedResponse


@dataclass(frozen=True)
class Examples:
    """A method's; `anchor` is the id on the page. gained: right where the baseline is wrong; lost: the other way round."""

    title: str
    colour: str
    anchor: str
    num_gained: int
    num_lost: int
    gained: list[Example]
    lost: list[Example]


def examples(results: Mapping[str, Any], greedy: Greedy | None) -> dict[str, Examples]:
    """By method; empty without a baseline or its answers. Methods that answer no question otherwise are left out."""
    baseline = headline_baseline(results)
    if greedy is None or baseline is None or baseline["name"] not in greedy.verdicts:
        return {}
    theirs = list(greedy.verdicts[baseline["name"]])  # may be a file, which is read once
    found = {}
    for place, method in enumerate(finished(results)):
        if method["name"] != baseline["name"] and method["name"] in greedy.verdicts:
            rows = enumerate(zip(greedy.verdicts[method["name"]], theirs, strict=True))
            differing = [(problem, *pair) for problem, pair in rows if pair[0].right != pair[1].right]
            gained = [row for row in differing if row[1].right]
            lost = [row for row in differing if row[2].right]
            if differing:
                shown = (
                    [Example(greedy.problems[problem], *pair) for problem, *pair in spread(rows, _SHOWN)] for rows in (gained, lost)
                )
                anchor = f"examples-{place}"
                found[method["name"]] = Examples(title(method), colour_name(method), anchor, len(gained), len(lost), *shown)
    return found
