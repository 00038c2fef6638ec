"""What every model answers to every held-out question: the data that the page's script shows."""

import base64
import gzip
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Any

from markupsafe import Markup

from aftune.common.wording import visible
from aftune.recipe.names import model_names, start_name
from aftune.records import Group, GroupScores, JudgedResponse
from aftune.reporting.run.data import ReportData
from aftune.reporting.run.reading import AFTER


@dataclass(frozen=True)
class Filter:
    """A kind of question that can be asked for, and how many there are."""

    key: str
    label: str
    count: int


@dataclass(frozen=True)
class Answers:
    """num_problems: those that are shown, the first ones of num_all. has_gaps: whether questions can be sorted by score gap.

    data: the questions and answers as JSON, compressed with gzip, in base64, so that a page of a thousand questions stays small;
    texts are as `visible` shows them.
    """

    num_problems: int
    num_all: int
    filters: list[Filter]
    has_gaps: bool
    data: Markup


def answers(data: ReportData) -> Answers | None:
    """None where the run has no greedy answers."""
    names = [name for name in model_names(data.metrics["results"], data.recipe) if name.key in data.verdicts]
    number = min(data.recipe.report.num_answers, len(data.groups))
    if not names or not number:
        return None
    start = model_names([start_name(data.recipe)], data.recipe)[0]
    given = zip(*(data.verdicts[name.key] for name in names), strict=True)
    scored = start.key in data.scores and AFTER in data.scores
    scores = zip(data.scores[start.key], data.scores[AFTER], strict=True) if scored else repeat(None, len(data.groups))
    keys = [name.key for name in names]
    rows = [
        _row(group, dict(zip(keys, answered, strict=True)), start.key, pair)
        for group, answered, pair in islice(zip(data.groups, given, scores, strict=True), number)
    ]
    counts = Counter(kind for row in rows for kind in row["kinds"])
    labels = {
        "gained": f"{start.label} wrong, then right",
        "lost": f"{start.label} right, then wrong",
        "all_wrong": "wrong in all models",
        "cut_off": "cut off",
    }
    content = {"models": [{"label": visible(name.label), "look": name.look} for name in names], "problems": rows}
    return Answers(
        num_problems=number,
        num_all=len(data.groups),
        filters=[Filter(key, label, counts[key]) for key, label in labels.items()],
        has_gaps=any(row["gap"] is not None for row in rows),
        data=_packed(content),
    )


def _row(
    group: Group, given: Mapping[str, JudgedResponse], start: str, scores: tuple[GroupScores, GroupScores] | None
) -> dict[str, Any]:
    """given: by model; scores: before and after alignment."""
    problem = group.problem
    return {
        "id": visible(problem.id),
        "question": visible(problem.question),
        "options": [visible(option) for option in problem.options or ()],
        "gold": visible(problem.gold_answer),
        "reference": None if problem.rationale is None else visible(problem.rationale),
        "kinds": _kinds(given, start),
        "gap": None if scores is None else _gaps(group, scores),
        "answers": [_answer(one) for one in given.values()],
    }


def _answer(one: JudgedResponse) -> dict[str, Any]:
    return {
        "text": visible(one.text),
        "right": one.right,
        "answer": None if one.answer is None else visible(one.answer),
        "reason": visible(one.reason),
        "cutOff": one.finish_reason == "length",
    }


def _kinds(given: Mapping[str, JudgedResponse], start: str) -> list[str]:
    kinds = []
    if {start, AFTER} <= given.keys() and given[start].right != given[AFTER].right:
        kinds.append("gained" if given[AFTER].right else "lost")
    if not any(one.right for one in given.values()):
        kinds.append("all_wrong")
    if any(one.finish_reason == "length" for one in given.values()):
        kinds.append("cut_off")
    return kinds


def _gaps(group: Group, scores: tuple[GroupScores, GroupScores]) -> list[float] | None:
    """Mean score of the right held-out candidates minus that of the wrong ones, nats per token, before and after alignment; None
    without both kinds."""
    right = [index for index, feedback in enumerate(group.feedback) if feedback.quality == 1]
    wrong = [index for index, feedback in enumerate(group.feedback) if feedback.quality == 0]
    if not right or not wrong:
        return None
    return [round(_mean(one.scores, right) - _mean(one.scores, wrong), 4) for one in scores]


def _mean(scores: Sequence[float], places: Sequence[int]) -> float:
    return sum(scores[place] for place in places) / len(places)


def _packed(content: Mapping[str, Any]) -> Markup:
    """The same bytes for the same content: gzip's header has no time."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Markup(base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode())
