"""What labelling kept and what it left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aftune.reporting.formatting import count, percent

# key in the summary of stage `label`, what the page calls it, what it means
_KEPT = (
    ("right", "Right", "kept: the final answer is the gold one"),
    ("wrong", "Wrong", "kept: another final answer"),
    ("no_answer", "No answer", "kept as wrong: no final answer in the format asked for"),
)
_LEFT_OUT = (
    ("duplicate", "Duplicate", "left out: the same text as an earlier candidate of the problem"),
    ("contradiction", "Contradiction", "left out: a duplicate whose verdict differs from that of the earlier one"),
    ("ambiguous", "Ambiguous", "left out as no evidence: several answers, or one that would have to be calculated"),
    ("timed_out", "Timed out", "left out as no evidence: comparing the answer took too long"),
    ("truncated", "Truncated", "left out: cut off at the token limit"),
    ("too_long", "Too long", "left out: longer than the model's context"),
    ("empty", "Empty", "left out: no text"),
    ("unknown_problem", "Unknown problem", "left out: belongs to no training problem"),
)
_GROUPS = (
    ("groups_mixed", "Mixed", "right and wrong candidates: the alignment loss learns from these"),
    ("groups_all_right", "All right", "nothing to compare without a wrong candidate"),
    ("groups_all_wrong", "All wrong", "only the reference is better, if it joins the candidates"),
    ("groups_empty", "Empty", "no candidate is left"),
)
_RARE = ("contradiction", "timed_out", "too_long", "empty", "unknown_problem", "groups_empty")


@dataclass(frozen=True)
class CountRow:
    """`share` is the share of the table's total, 0 to 1."""

    name: str
    count: str
    percent: str
    share: float
    meaning: str


@dataclass(frozen=True)
class LabellingTables:
    candidates: list[CountRow]
    groups: list[CountRow]
    sources: list[CountRow]
    total_candidates: str
    total_groups: str
    published: str | None
    ranked: str | None = None
    readings: str | None = None


def labelling_tables(summary: Mapping[str, Any]) -> LabellingTables | None:
    """Tables of the label stage's counts; None where it left no summary."""
    if not summary:
        return None
    num_candidates = sum(summary.get(key, 0) for key, _, _ in _KEPT + _LEFT_OUT)
    num_groups = sum(summary.get(key, 0) for key, _, _ in _GROUPS)
    return LabellingTables(
        candidates=_rows(summary, _KEPT + _LEFT_OUT, num_candidates),
        groups=_rows(summary, _GROUPS, num_groups),
        sources=_sources(summary),
        total_candidates=count(num_candidates),
        total_groups=count(num_groups),
        published=_published(summary),
        ranked=_ranked(summary, num_groups),
        readings=_readings(summary),
    )


def _rows(summary: Mapping[str, Any], names: tuple[tuple[str, str, str], ...], total: int) -> list[CountRow]:
    """The rows of a table; what rarely happens (`_RARE`) is listed only if it did."""
    rows = []
    for key, name, meaning in names:
        value = summary.get(key, 0)
        if value or key not in _RARE:
            share = value / total if total else 0.0
            rows.append(CountRow(name, count(value), percent(share), share, meaning))
    return rows


def _sources(summary: Mapping[str, Any]) -> list[CountRow]:
    """The kept candidates by the model that they are from; none where all are from the model that is trained."""
    kept, right = sum(summary.get(key, 0) for key, _, _ in _KEPT), summary.get("right", 0)
    others = {
        key.removeprefix("from_"): (value, summary[f"right_{key}"]) for key, value in summary.items() if key.startswith("from_")
    }
    if not others:
        return []
    own = (kept - sum(number for number, _ in others.values()), right - sum(number for _, number in others.values()))
    rows = {"The trained model": own} | others
    return [
        CountRow(name, count(number), percent(number / kept), number / kept, f"{count(found)} of them right")
        for name, (number, found) in rows.items()
        if kept
    ]


def _published(summary: Mapping[str, Any]) -> str | None:
    """How many verdicts agree with those that came with imported candidates."""
    total = summary.get("published_verdicts", 0)
    if not total:
        return None
    return f"Published verdicts that agree with ours: {count(summary.get('published_agree', 0))} of {count(total)}."


def _ranked(summary: Mapping[str, Any], num_groups: int) -> str | None:
    """How many groups ranking feedback would learn from; None if the task has no ranking."""
    if "groups_with_rank_pairs" not in summary:
        return None
    return f"Groups with better and worse candidates by rank: {count(summary['groups_with_rank_pairs'])} of {count(num_groups)}."


def _readings(summary: Mapping[str, Any]) -> str | None:
    """What the two readings of answers found; None for a summary made before there were two."""
    if "readings_differ" not in summary:
        return None
    strict, flexible, differ = (count(summary[key]) for key in ("right_strict", "right_flexible", "readings_differ"))
    found = (
        f"Among the complete candidates, equal ones counted as often as they were given, the strict reading finds {strict} right"
    )
    if not summary["readings_differ"]:
        return f"{found}; the flexible one finds the same."
    return f"{found} and the flexible one {flexible}; they differ on {differ}."
