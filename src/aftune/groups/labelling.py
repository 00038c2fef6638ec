"""From candidates to groups: verify, drop what cannot be used, and count everything that was dropped."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from aftune.answers import Reading
from aftune.common.errors import StageError
from aftune.common.in_order import in_order
from aftune.common.text_files import open_atomic
from aftune.records import PUBLISHED_VERDICT, UNDECIDED, Candidate, Feedback, Group, Problem
from aftune.records.large_files import CandidateFile
from aftune.tasks import Task

# A stage stops where this many comparisons timed out, and more than this share of them: only the easy answers would be left.
MANY_TIMED_OUT, SHARE_TIMED_OUT = 5, 0.1
_LOOK_AFTER = 200  # comparisons, and again at the end

Asked = tuple[Problem, list[Candidate]]  # a problem and its candidates

# Gives, for a problem, a function that says whether a candidate fits the model's context.
ContextCheck = Callable[[Problem], Callable[[Candidate], bool]]


@dataclass(frozen=True)
class Labelled:
    """What became of a problem's candidates. group: None for candidates of an unknown problem. left_out: every dropped
    candidate with its reason. disagreements: those whose published verdict differs from ours. counts: for the summary."""

    group: Group | None
    left_out: list[dict[str, object]] = field(default_factory=list)
    disagreements: list[dict[str, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def label_files(
    task: Task,
    problems: Iterable[Problem],
    candidates: Path,
    folder: Path,
    reading: Reading,
    fits: ContextCheck = lambda problem: lambda candidate: True,
    judge: "Judge | None" = None,
) -> dict[str, int]:
    """Writes `groups.jsonl` (a group for each problem, in order), `left_out.jsonl` and, where verdicts were published with
    the candidates, `disagreements.jsonl`, and gives the counts; holds a few problems in memory at a time.

    judge: what gives the verdicts, by default the task in threads of this process.

    Raises DataError for a file of candidates that is missing, is empty or has a bad line, and StageError where a large share
    of the comparisons timed out; nothing is written then.
    """
    of_problems = CandidateFile(candidates)
    counts: Counter[str] = Counter(candidates=len(of_problems))
    disagreements_path = folder / "disagreements.jsonl"
    with (
        open_atomic(folder / "groups.jsonl") as groups,
        open_atomic(folder / "left_out.jsonl") as left_out,
        open_atomic(disagreements_path) as disagreements,
    ):
        for labelled in _label_all(task, problems, of_problems, reading, fits, judge or in_threads(task, reading)):
            if labelled.group is not None:
                groups.write(labelled.group.model_dump_json(exclude_none=True) + "\n")
            left_out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled.left_out)
            disagreements.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in labelled.disagreements)
            counts.update(labelled.counts)
            _check_timed_out(counts, at_least=_LOOK_AFTER)
        _check_timed_out(counts)
    if "published_verdicts" not in counts:
        disagreements_path.unlink()
    return dict(counts)


def _check_timed_out(counts: Counter[str], at_least: int = 0) -> None:
    """Raises StageError where too many of the answers that were compared timed out; does nothing below `at_least` answers."""
    timed_out = counts["timed_out"]
    compared = counts["right"] + counts["wrong"] + timed_out
    if compared >= at_least and timed_out >= MANY_TIMED_OUT and timed_out > SHARE_TIMED_OUT * compared:
        raise StageError(
            f"{timed_out} of {compared} comparisons of answers timed out, each twice; expected a tenth at most, since labels would "
            "be missing for the hard answers only. Look for gold answers that cannot be compared (kind math), and for low memory"
        )


def _label_all(
    task: Task, problems: Iterable[Problem], candidates: CandidateFile, reading: Reading, fits: ContextCheck, judge: "Judge"
) -> Iterator[Labelled]:
    for problem, own in judge((problem, candidates.take(problem.id)) for problem in problems):
        yield label_candidates(task, problem, own, reading, fits(problem))
    for orphans in candidates.rest():
        left_out = [{"problem_id": orphan.problem_id, "index": orphan.index, "reason": "unknown problem"} for orphan in orphans]
        yield Labelled(None, left_out, counts=Counter(unknown_problem=len(orphans)))


@dataclass(frozen=True)
class Judged:
    """A candidate with the verdict of the reading that counts and, for one that is whole, what each reading finds."""

    candidate: Candidate
    feedback: Feedback
    by_reading: Counter[str]


# Gives each problem with its judged candidates, in order.
Judge = Callable[[Iterable[Asked]], Iterator[tuple[Problem, list[Judged]]]]


def in_threads(task: Task, reading: Reading) -> Judge:
    """Judges in threads of this process, as many as the task allows."""
    return lambda asked: in_order(partial(judge_all, task, reading), asked, task.judging_threads)


def judge_all(task: Task, reading: Reading, asked: Asked) -> tuple[Problem, list[Judged]]:
    problem, candidates = asked
    return problem, [judge_candidate(task, problem, candidate, reading) for candidate in candidates]


def judge_candidate(task: Task, problem: Problem, candidate: Candidate, reading: Reading) -> Judged:
    feedback = task.verdict(problem, candidate.text, reading)
    whole = candidate.finish_reason != "length" and bool(candidate.text.strip())
    found = _right_by_reading(task, problem, candidate.text, reading, feedback) if whole else Counter[str]()
    return Judged(candidate, feedback, found)


def label_candidates(
    task: Task, problem: Problem, judged: Iterable[Judged], reading: Reading, fits: Callable[[Candidate], bool]
) -> Labelled:
    """Makes the group of a problem, and ranks its candidates where the task has a ranking. Left out of the group are those that
    were cut off, are empty, repeat another one or do not fit the model's context, and those whose verdict is no evidence: an
    ambiguous answer, or one that took too long to compare. A response without an answer is wrong.

    Our verdict is the label, whatever was published. Of all candidates that are neither cut off nor empty, the counts also
    include those that each of the two readings finds right (`right_strict`, `right_flexible`) and those on which they differ
    (`readings_differ`), and those of the group that are from each other model (`from_NAME`, `right_from_NAME`). Of candidates with
    the same text (white space aside) the first is kept. A later one is a `duplicate`;
    where the published verdicts of the two contradict each other (or ours do, because lines break at other places), it is a
    `contradiction`, and its row in `left_out` says what is known of both.
    """
    group = Group(problem=problem, candidates=[], feedback=[])
    labelled = Labelled(group)
    counts = labelled.counts
    labels: dict[str, _Label] = {}  # by text, of the candidates that were kept
    for one in judged:
        candidate, feedback = one.candidate, one.feedback
        place = {"problem_id": problem.id, "index": candidate.index}
        published = candidate.settings.get(PUBLISHED_VERDICT)
        if published is not None:
            counts["published_verdicts"] += 1
            counts["published_agree"] += published == bool(feedback.quality)
            if published != bool(feedback.quality):
                row = {**place, "published": published, "answer": feedback.answer, "text": candidate.text}
                labelled.disagreements.append(row)
        counts.update(one.by_reading)
        if candidate.source is not None:  # it is named also where nothing of it is kept
            counts.update({f"from_{candidate.source}": 0, f"right_from_{candidate.source}": 0})
        text = " ".join(candidate.text.split())
        label = _Label(candidate.index, feedback.quality, published)
        earlier = labels.get(text)
        dropped = _reason_to_drop(candidate, feedback, earlier is not None, fits(candidate))
        if dropped is not None:
            details: dict[str, object] = {"detail": feedback.detail} if dropped in UNDECIDED and feedback.detail else {}
            if dropped == "duplicate" and earlier is not None:
                if label.contradicts(earlier):
                    dropped, details = "contradiction", {"labels": [asdict(earlier), asdict(label)]}
                elif earlier.published is None:
                    labels[text] = replace(earlier, published=published)
            counts[dropped.replace(" ", "_")] += 1
            labelled.left_out.append({**place, "reason": dropped, **details, "text": candidate.text[:500]})
            continue
        labels[text] = label
        rank = task.rank(problem, candidate.text, reading)
        if rank is not None:
            feedback = feedback.model_copy(update={"rank": rank})
        group.candidates.append(candidate)
        group.feedback.append(feedback)
        counts["right" if feedback.quality else "no_answer" if feedback.answer is None else "wrong"] += 1
        if candidate.source is not None:
            counts[f"from_{candidate.source}"] += 1
            counts[f"right_from_{candidate.source}"] += bool(feedback.quality)
    counts[_kind(group)] += 1
    if all(feedback.rank is not None for feedback in group.feedback) and group.feedback:
        counts["groups_with_rank_pairs"] += len(set(group.ranks)) > 1
    return labelled


@dataclass(frozen=True)
class _Label:
    """What is known of a text from the candidate with that index: our quality, and the published verdict, if any."""

    index: int
    quality: float
    published: bool | None

    def contradicts(self, other: "_Label") -> bool:
        both_published = self.published is not None and other.published is not None
        return self.quality != other.quality or (both_published and self.published != other.published)


def _right_by_reading(task: Task, problem: Problem, text: str, reading: Reading, feedback: Feedback) -> Counter[str]:
    """What each reading finds; `feedback` is that of `reading`, so that nothing is judged twice."""
    other: Reading = "flexible" if reading == "strict" else "strict"
    right, other_right = bool(feedback.quality), bool(task.verdict(problem, text, other).quality)
    return Counter({f"right_{reading}": right, f"right_{other}": other_right, "readings_differ": right != other_right})


def _reason_to_drop(candidate: Candidate, feedback: Feedback, repeats: bool, fits: bool) -> str | None:
    if candidate.finish_reason == "length":
        return "truncated"
    if not candidate.text.strip():
        return "empty"
    if feedback.undecided:
        return feedback.reason
    return "duplicate" if repeats else None if fits else "too_long"


def _kind(group: Group) -> str:
    if not group.candidates:
        return "groups_empty"
    if group.has_pairs:
        return "groups_mixed"
    return "groups_all_right" if group.qualities[0] else "groups_all_wrong"
