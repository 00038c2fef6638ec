"""Everything that is measured of one model on held-out problems."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aftune.answers import Reading
from aftune.common.progress import progress_bar
from aftune.common.seeds import derive_seed
from aftune.evaluation.assessment import assessment_accuracy
from aftune.evaluation.perplexity import perplexity, perplexity_interval
from aftune.evaluation.statistics import proportion_interval, share_interval
from aftune.evaluation.text_quality import text_quality
from aftune.evaluation.voting import Sampled, best_of_k, majority_vote, pass_at_k, weighted_vote
from aftune.pipeline.context import Context
from aftune.prompts.encoding import EncodedGroup, encode_group
from aftune.records import Candidate, Feedback, Group, GroupScores, Problem, Record, write_records
from aftune.records.large_files import RecordFile
from aftune.sampling import TransformersEngine
from aftune.sampling.collect import collect_candidates
from aftune.scoring import ScoredGroup, group_logprobs, score_groups

# Ends the names of metrics that are by task: a value for each task's name.
BY_TASK = "_by_task"

READINGS: tuple[Reading, ...] = ("strict", "flexible")


class Votes(Record):
    """Responses to a held-out problem sampled from the model itself: their answers (None: none could be read), whether they are
    right, and their scores, nats per token."""

    problem_id: str
    answers: list[str | None]
    right: list[bool]
    scores: list[float]

    @property
    def samples(self) -> list[Sampled]:
        return [Sampled(*sample) for sample in zip(self.answers, self.right, self.scores, strict=True)]


class Verdict(Record):
    """A greedy response to a held-out problem and what became of it. answer_by_reading, right_by_reading: by each way to read it;
    older files lack them.
    """

    problem_id: str
    text: str
    answer: str | None = None
    right: bool
    reason: str
    finish_reason: Literal["stop", "length"]
    answer_by_reading: dict[str, str | None] | None = None
    right_by_reading: dict[str, bool] | None = None


def measure_policy(context: Context, folder: Path, stage: str, groups: Sequence[Group], title: str) -> dict[str, Any]:
    """Metrics of a stage's model; writes `verdicts.jsonl`, `scores.jsonl` and, where the recipe asks for votes, `votes.jsonl` into
    its folder, and reads what is there."""
    problems = context.problems("test")
    verdicts = greedy_verdicts(context, folder, stage, problems, title)
    scores = _scores(context, folder, stage, groups, title)
    metrics = accuracy_metrics(problems, verdicts) | assessment_metrics(groups, scores) | reference_metrics(scores)
    if context.recipe.evaluate.num_votes:
        metrics |= voting_metrics(_votes(context, folder, stage, problems, title))
    return metrics


def greedy_verdicts(context: Context, folder: Path, stage: str, problems: Sequence[Problem], title: str) -> Sequence[Verdict]:
    """Of a stage's model, in `verdicts.jsonl` of its folder; those that are there are read."""
    path = folder / "verdicts.jsonl"
    if path.exists():
        return RecordFile(path, Verdict)
    responses = collect_candidates(
        TransformersEngine(context.load_policy(stage), context.tokenizer, context.recipe.evaluate.batch_size),
        problems,
        context.prompter,
        context.settings(context.recipe.evaluate, problems, greedy=True),
        num_candidates=1,
        seed=0,
        path=folder / "responses.jsonl",
        title=title,
    )
    write_records(path, (_judge(context, problem, response) for problem, response in zip(problems, responses, strict=True)))
    (folder / "responses.jsonl").unlink()
    return RecordFile(path, Verdict)


def _judge(context: Context, problem: Problem, response: Candidate) -> Verdict:
    read: dict[Reading, Feedback] = {reading: context.task.verdict(problem, response.text, reading) for reading in READINGS}
    feedback = read[context.recipe.label.reading]
    return Verdict(
        problem_id=problem.id,
        text=response.text,
        answer=feedback.answer,
        right=bool(feedback.quality),
        reason=feedback.reason,
        finish_reason=response.finish_reason,
        answer_by_reading={reading: found.answer for reading, found in read.items()},
        right_by_reading={reading: bool(found.quality) for reading, found in read.items()},
    )


def _feedback(context: Context, problem: Problem, response: Candidate) -> Feedback:
    return context.task.verdict(problem, response.text, context.recipe.label.reading)


def _scores(context: Context, folder: Path, stage: str, groups: Sequence[Group], title: str) -> Sequence[GroupScores]:
    path = folder / "scores.jsonl"
    if path.exists():
        return RecordFile(path, GroupScores)
    encoded = (_encoded(context, group, context.task.reference_response(group.problem)) for group in groups)
    with progress_bar(f"{title}: scores", len(groups), "groups") as update:
        scored = group_logprobs(context.load_policy(stage, float32=True), encoded, on_progress=update)
        write_records(path, map(_group_scores, groups, scored))
    return RecordFile(path, GroupScores)


def _encoded(context: Context, group: Group, reference: str | None) -> EncodedGroup:
    prompt = context.prompter(group.problem)
    return encode_group(context.tokenizer, group, prompt, reference=reference, end_id=context.end_id)


def _votes(context: Context, folder: Path, stage: str, problems: Sequence[Problem], title: str) -> Sequence[Votes]:
    """Sampled as the held-out candidates are, in the same random streams for every model, and scored by the model itself."""
    path = folder / "votes.jsonl"
    if path.exists():
        return RecordFile(path, Votes)
    section = context.recipe.evaluate
    responses = collect_candidates(
        TransformersEngine(context.load_policy(stage), context.tokenizer, section.batch_size),
        problems,
        context.prompter,
        context.settings(section, problems),
        num_candidates=section.num_votes,
        seed=derive_seed(context.recipe.seed, "votes"),
        path=folder / "samples.jsonl",
        title=f"{title}: votes",
    )
    groups = []
    for place, problem in enumerate(problems):
        own = responses[place * section.num_votes : (place + 1) * section.num_votes]
        feedback = [_feedback(context, problem, response) for response in own]
        groups.append(Group(problem=problem, candidates=own, feedback=feedback))
    encoded = (_encoded(context, group, None) for group in groups)
    with progress_bar(f"{title}: scores of votes", len(groups), "groups") as update:
        scored = score_groups(context.load_policy(stage, float32=True), encoded, on_progress=update)
        write_records(path, map(_problem_votes, groups, scored))
    (folder / "samples.jsonl").unlink()
    return RecordFile(path, Votes)


def _problem_votes(group: Group, scores: list[float]) -> Votes:
    return Votes(
        problem_id=group.problem.id,
        answers=[feedback.answer for feedback in group.feedback],
        right=[bool(feedback.quality) for feedback in group.feedback],
        scores=scores,
    )


def _group_scores(group: Group, scored: ScoredGroup) -> GroupScores:
    scores = GroupScores(problem_id=group.problem.id, scores=scored.scores)
    if len(scored.scores) > len(group.candidates):  # the reference comes first
        scores.scores.pop(0)
        scores.reference_logprob, scores.reference_length = scored.sums[0], scored.lengths[0]
    return scores


def accuracy_metrics(problems: Sequence[Problem], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Task accuracy with Wilson's interval, by each way to read an answer too; the reasons, how the responses are written, and
    accuracy by number of operations and by subject where that is known and by task where there are several. subject_accuracy:
    the mean over subjects of their means."""
    num_right = sum(verdict.right for verdict in verdicts)
    written = text_quality([verdict.text for verdict in verdicts])
    metrics: dict[str, Any] = {
        "accuracy": num_right / len(verdicts),
        "accuracy_ci95": proportion_interval(num_right, len(verdicts)),
        "num_problems": len(verdicts),
        "reasons": dict(sorted(Counter(verdict.reason for verdict in verdicts).items())),
        "num_truncated": sum(verdict.finish_reason == "length" for verdict in verdicts),
        "repetition": written.repetition,
        "mean_words": written.mean_words,
    }
    by_operations = _right_by(problems, verdicts, lambda problem: problem.metadata.get("num_operations"))
    if by_operations:
        metrics["accuracy_by_num_operations"] = {key: float(np.mean(value)) for key, value in sorted(by_operations.items())}
    by_reading = [verdict.right_by_reading for verdict in verdicts if verdict.right_by_reading is not None]
    if len(by_reading) == len(verdicts):
        metrics["accuracy_by_reading"] = {name: float(np.mean([right[name] for right in by_reading])) for name in READINGS}
    by_subject = _right_by(problems, verdicts, lambda problem: problem.metadata.get("subject"))
    if by_subject:
        metrics["accuracy_by_subject"] = {name: float(np.mean(right)) for name, right in sorted(by_subject.items())}
        metrics["subject_accuracy"] = float(np.mean(list(metrics["accuracy_by_subject"].values())))
    by_task = _right_by(problems, verdicts, lambda problem: problem.task)
    if len(by_task) > 1:
        tasks = sorted(by_task.items())
        metrics[f"accuracy{BY_TASK}"] = {name: sum(right) / len(right) for name, right in tasks}
        metrics[f"accuracy_ci95{BY_TASK}"] = {name: proportion_interval(sum(right), len(right)) for name, right in tasks}
        metrics[f"num_problems{BY_TASK}"] = {name: len(right) for name, right in tasks}
    return metrics


def _right_by(problems: Sequence[Problem], verdicts: Sequence[Verdict], kind: Callable[[Problem], object]) -> dict[str, list[bool]]:
    """The verdicts of each kind of problem; a problem of kind None is in none."""
    found: dict[str, list[bool]] = defaultdict(list)
    for problem, verdict in zip(problems, verdicts, strict=True):
        if kind(problem) is not None:
            found[str(kind(problem))].append(verdict.right)
    return found


def assessment_metrics(groups: Sequence[Group], scores: Sequence[GroupScores]) -> dict[str, Any]:
    """Assessment accuracy with a bootstrap interval, by task too where there are several, and mean scores of right and wrong
    candidates of the mixed groups."""
    shares, better, worse = array("d"), array("d"), array("d")
    by_task: dict[str, array[float]] = {}
    for group, row in zip(groups, scores, strict=True):
        share = assessment_accuracy(row.scores, group.qualities)
        of_task = by_task.setdefault(group.problem.task, array("d"))
        if share is not None:
            shares.append(share)
            of_task.append(share)
            top = max(group.qualities)
            better.extend(score for score, quality in zip(row.scores, group.qualities, strict=True) if quality == top)
            worse.extend(score for score, quality in zip(row.scores, group.qualities, strict=True) if quality < top)
    metrics: dict[str, Any] = {
        "assessment_accuracy": float(np.mean(shares)) if shares else None,
        "assessment_accuracy_ci95": share_interval(shares) if shares else None,
        "num_assessed_problems": len(shares),
        "score_positive": float(np.mean(better)) if better else None,
        "score_negative": float(np.mean(worse)) if worse else None,
    }
    if len(by_task) > 1:
        tasks = sorted(by_task.items())
        metrics[f"assessment_accuracy{BY_TASK}"] = {name: float(np.mean(own)) if own else None for name, own in tasks}
        metrics[f"assessment_accuracy_ci95{BY_TASK}"] = {name: share_interval(own) if own else None for name, own in tasks}
        metrics[f"num_assessed_problems{BY_TASK}"] = {name: len(own) for name, own in tasks}
    return metrics


def reference_metrics(scores: Sequence[GroupScores]) -> dict[str, Any]:
    """Perplexity of the reference responses with its interval; empty where there are none."""
    known = [(row.reference_logprob, row.reference_length) for row in scores]
    sums, lengths = [total for total, _ in known if total is not None], [length for _, length in known if length is not None]
    if not sums:
        return {}
    return {"reference_perplexity": perplexity(sums, lengths), "reference_perplexity_ci95": perplexity_interval(sums, lengths)}


def voting_metrics(votes: Sequence[Votes]) -> dict[str, Any]:
    """Accuracy of the majority vote, of the vote weighted by scores, of the best by score, and pass@k for k = 1, 2, 4, ..."""
    number = len(votes[0].answers)
    chosen = [(majority_vote(samples), weighted_vote(samples), best_of_k(samples)) for samples in (vote.samples for vote in votes)]
    names = ("vote_accuracy", "weighted_vote_accuracy", "best_of_k_accuracy")
    metrics: dict[str, Any] = {"num_votes": number}
    for place, name in enumerate(names):
        right = [sample is not None and sample.right for sample in (choice[place] for choice in chosen)]
        metrics |= {name: sum(right) / len(right), f"{name}_ci95": proportion_interval(sum(right), len(right))}
    ks = [2**power for power in range(number.bit_length()) if 2**power <= number]
    num_right = [sum(vote.right) for vote in votes]
    passed = pass_at_k(num_right, [number] * len(votes), ks)
    return metrics | {f"pass_at_{k}": float(np.mean(passed[k])) for k in ks}
