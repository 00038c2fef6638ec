"""Stage `measure` of a comparison, and what it and `evaluate` both measure of a model on held-out problems."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from aftune.common.cluster import Workers
from aftune.common.in_order import in_order
from aftune.common.json_text import write_json
from aftune.common.progress import progress_bar
from aftune.common.seeds import derive_seed
from aftune.evaluation.accuracy import accuracy_metrics
from aftune.evaluation.assessment import assessment_metrics
from aftune.evaluation.greedy import judge_response
from aftune.evaluation.perplexity import reference_metrics
from aftune.evaluation.voting import voting_metrics
from aftune.pipeline import processes
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.engines import places_of
from aftune.pipeline.registry import in_round
from aftune.pipeline.stages.sample import Sampling, sampled
from aftune.pipeline.warning_signs import of_results
from aftune.prompts.encoding import EncodedGroup, encode_group
from aftune.recipe.names import CONTROLS, rl_name
from aftune.records import Candidate, Group, GroupScores, JudgedResponse, Problem, Record, Votes, write_records
from aftune.records.appended import check_appended, forget_all_checksums, take_as_it_is
from aftune.records.large_files import RecordFile
from aftune.sampling.collect import Draw
from aftune.scoring import ScoredGroup, group_logprobs

_BATCH = 64  # groups that a worker of a cluster scores at once


def measure(context: Context) -> Summary:
    """Stage `measure` of a comparison: writes `metrics.json` of the model that a method trained, else of the VFT model."""
    folder = context.folder("measure")
    read = context.run.entry("measure")["reads"]
    trained = next(stage for stage in (in_round("align", context.recipe.rounds), "control", "rl", "sft") if stage in read)
    groups = RecordFile(context.folder("held_out") / "groups.jsonl", Group)
    metrics = measure_policy(context, folder, trained, groups, f"measure {context.run.path.name}")
    write_json(folder / "metrics.json", metrics)
    forget_all_checksums(folder)
    recipe = context.recipe
    key = {"sft": "vft", "control": CONTROLS[recipe.control.match].key, "rl": rl_name(recipe.rl.algorithm)}.get(trained, "aligned")
    summary = {name: metrics[name] for name in ("accuracy", "assessment_accuracy")}
    return summary | {"warnings": of_results({key: metrics}, context.recipe)}


def measure_policy(context: Context, folder: Path, stage: str, groups: Sequence[Group], title: str) -> dict[str, Any]:
    """Metrics of a stage's model; writes `verdicts.jsonl`, where there are groups `scores.jsonl`, and where the recipe asks for
    votes `votes.jsonl` into its folder, and reads those that are there already."""
    problems = context.problems("test")
    metrics = accuracy_metrics(problems, greedy_verdicts(context, folder, stage, problems, title))
    if groups:
        scores = _scores(context, folder, stage, groups, title)
        metrics |= assessment_metrics(groups, scores) | reference_metrics(scores)
    if context.recipe.evaluate.num_votes:
        metrics |= voting_metrics(_votes(context, folder, stage, problems, title))
    return metrics


def greedy_verdicts(
    context: Context, folder: Path, stage: str, problems: Sequence[Problem], title: str
) -> Sequence[JudgedResponse]:
    """Verdicts on the greedy responses of a stage's model; written to `verdicts.jsonl`, or read if that is there already."""
    path = folder / "verdicts.jsonl"
    if _is_there(path):
        return RecordFile(path, JudgedResponse)
    section = context.recipe.evaluate
    draw = Draw(context.settings(section, problems, greedy=True))
    responses = sampled(context, Sampling(stage, problems, section, draw, folder / "responses.jsonl", title))
    reading = context.recipe.label.reading

    def judged(asked: tuple[Problem, Candidate]) -> JudgedResponse:
        problem, response = asked
        return judge_response(context.task, problem, response.text, response.finish_reason, reading)

    _write(path, in_order(judged, zip(problems, responses, strict=True), context.task.judging_threads))
    (folder / "responses.jsonl").unlink()
    return RecordFile(path, JudgedResponse)


def _write(path: Path, records: Iterable[Record]) -> None:
    """A piece of a stage, which a later attempt takes as it is."""
    write_records(path, records)
    take_as_it_is(path)


def _is_there(path: Path) -> bool:
    """Whether an earlier attempt has made a piece; raises DataError where it was changed since."""
    if path.exists():
        check_appended(path)
    return path.exists()


def _scores(context: Context, folder: Path, stage: str, groups: Sequence[Group], title: str) -> Sequence[GroupScores]:
    path = folder / "scores.jsonl"
    if _is_there(path):
        return RecordFile(path, GroupScores)
    scored = held_out_scores(context, stage, groups, f"{title}: scores", with_references=True)
    _write(path, map(_group_scores, groups, scored))
    return RecordFile(path, GroupScores)


def held_out_scores(
    context: Context, stage: str, groups: Sequence[Group], title: str, *, with_references: bool
) -> Sequence[ScoredGroup]:
    """Held-out groups under a stage's model, with their references as first responses or without; the cluster that samples does it,
    or all processes."""
    scorer = _Scorer(context, stage, with_references)
    engine = context.recipe.evaluate.engine
    if engine.kind != "ray":
        scored: list[ScoredGroup] = processes.everywhere(_scored_here, scorer, groups, title)
        return scored
    with Workers(partial(_worker, scorer), places_of(engine)) as workers, progress_bar(title, len(groups), "groups") as update:
        found = []
        for one in workers.of_each(groups, _BATCH):
            found.append(one)
            update(len(found))
        return found


@dataclass(frozen=True)
class _Scorer:
    """Scores groups with a stage's model in float32."""

    context: Context
    stage: str
    with_references: bool

    def __call__(self, groups: Iterable[Group], on_progress: Callable[[int], None] = lambda done: None) -> Iterator[ScoredGroup]:
        reference = self.context.task.reference_response if self.with_references else lambda problem: None
        encoded = (encoded_held_out(self.context, group, reference(group.problem)) for group in groups)
        return group_logprobs(self.model, encoded, on_progress=on_progress)

    @cached_property
    def model(self) -> Any:
        return self.context.load_policy(self.stage, float32=True)


def _scored_here(scorer: _Scorer, groups: Sequence[Group], title: str) -> list[ScoredGroup]:
    own = processes.own(groups)
    with progress_bar(title, len(own), "groups") as update:
        return processes.gather(scorer(own, update))


def _worker(scorer: _Scorer) -> Callable[[list[Group]], list[ScoredGroup]]:
    """What scores on a cluster; the model is loaded before the first groups come."""
    _ = scorer.model
    return lambda groups: list(scorer(groups))


def encoded_held_out(context: Context, group: Group, reference: str | None) -> EncodedGroup:
    """A held-out group as it is scored, with the reference, where there is one, as its first response."""
    prompt = context.prompter(group.problem)
    return encode_group(context.tokenizer, group, prompt, reference=reference, end_id=context.end_id)


def _votes(context: Context, folder: Path, stage: str, problems: Sequence[Problem], title: str) -> Sequence[Votes]:
    """Sampled as the held-out candidates are, with the same random streams for every model, and scored by the model itself."""
    path = folder / "votes.jsonl"
    if _is_there(path):
        return RecordFile(path, Votes)
    section = context.recipe.evaluate
    draw = Draw(context.settings(section, problems), section.num_votes, derive_seed(context.recipe.seed, "votes"))
    responses = sampled(context, Sampling(stage, problems, section, draw, folder / "samples.jsonl", f"{title}: votes"))

    def judged(asked: tuple[int, Problem]) -> Group:
        place, problem = asked
        own = responses[place * section.num_votes : (place + 1) * section.num_votes]
        feedback = [context.task.verdict(problem, response.text, context.recipe.label.reading) for response in own]
        return Group(problem=problem, candidates=own, feedback=feedback)

    groups = list(in_order(judged, enumerate(problems), context.task.judging_threads))
    scored = held_out_scores(context, stage, groups, f"{title}: scores of votes", with_references=False)
    _write(path, map(_problem_votes, groups, scored))
    (folder / "samples.jsonl").unlink()
    return RecordFile(path, Votes)


def _problem_votes(group: Group, scored: ScoredGroup) -> Votes:
    return Votes(
        problem_id=group.problem.id,
        answers=[feedback.answer for feedback in group.feedback],
        right=[bool(feedback.quality) for feedback in group.feedback],
        scores=scored.scores,
    )


def _group_scores(group: Group, scored: ScoredGroup) -> GroupScores:
    scores = GroupScores(problem_id=group.problem.id, scores=scored.scores)
    if len(scored.scores) > len(group.candidates):  # the reference comes first
        scores.scores.pop(0)
        scores.reference_logprob, scores.reference_length = scored.sums[0], scored.lengths[0]
    return scores
