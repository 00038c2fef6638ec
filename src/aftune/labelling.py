"""From candidates to groups: verify, drop what cannot be used, and count everything that was dropped."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aftune.answers import Reading
from aftune.records import PUBLISHED_VERDICT, Candidate, Feedback, Group, Problem
from aftune.tasks import Task


@dataclass(frozen=True)
class Labelled:
    """groups: one for each problem, in order. left_out: every dropped candidate with its reason. counts: for the summary.
    disagreements: candidates whose published verdict is another than ours."""

    groups: list[Group]
    left_out: list[dict[str, object]]
    disagreements: list[dict[str, object]]
    counts: dict[str, int]


def label_candidates(
    task: Task,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    reading: Reading,
    fits: Callable[[Problem, Candidate], bool] = lambda problem, candidate: True,
) -> Labelled:
    """Judges every candidate; those that were cut off, are empty, repeat another of the same problem or do not fit the
    model's context leave the groups."""
    by_problem: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_problem[candidate.problem_id].append(candidate)
    groups, left_out, disagreements = [], [], []
    counts: Counter[str] = Counter(candidates=len(candidates))
    for problem in problems:
        kept: list[tuple[Candidate, Feedback]] = []
        texts: set[str] = set()
        for candidate in by_problem.pop(problem.id, []):
            feedback = task.verdict(problem, candidate.text, reading)
            place = {"problem_id": problem.id, "index": candidate.index}
            published = candidate.settings.get(PUBLISHED_VERDICT)
            if published is not None:
                counts["published_verdicts"] += 1
                counts["published_agree"] += published == bool(feedback.quality)
                if published != bool(feedback.quality):
                    disagreements.append({**place, "published": published, "answer": feedback.answer, "text": candidate.text})
            text = " ".join(candidate.text.split())
            dropped = _reason_to_drop(candidate, text in texts, fits(problem, candidate))
            if dropped is not None:
                counts[dropped] += 1
                left_out.append({**place, "reason": dropped, "text": candidate.text[:500]})
                continue
            texts.add(text)
            kept.append((candidate, feedback))
            counts["right" if feedback.quality else "no_answer" if feedback.answer is None else "wrong"] += 1
        group = Group(problem=problem, candidates=[c for c, _ in kept], feedback=[f for _, f in kept])
        counts[_kind(group)] += 1
        groups.append(group)
    for problem_id, orphans in by_problem.items():
        counts["unknown_problem"] += len(orphans)
        left_out += [{"problem_id": problem_id, "index": orphan.index, "reason": "unknown problem"} for orphan in orphans]
    return Labelled(groups, left_out, disagreements, dict(counts))


def _reason_to_drop(candidate: Candidate, repeats: bool, fits: bool) -> str | None:
    if candidate.finish_reason == "length":
        return "truncated"
    if not candidate.text.strip():
        return "empty"
    return "duplicate" if repeats else None if fits else "too_long"


def _kind(group: Group) -> str:
    if not group.candidates:
        return "groups_empty"
    if group.has_pairs:
        return "groups_mixed"
    return "groups_all_right" if group.qualities[0] else "groups_all_wrong"
