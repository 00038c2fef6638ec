"""Stage `label`: groups of judged candidates."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from aftune.common.cluster import Workers
from aftune.common.progress import progress_bar
from aftune.groups.labelling import Asked, Judge, Judged, judge_all, label_files
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.engines import places_of
from aftune.pipeline.recipe_task import default_feedback
from aftune.pipeline.warning_signs import of_labelling
from aftune.prompts.encoding import encode_candidate
from aftune.recipe import EngineSection
from aftune.records import Candidate, Problem

_BATCH = 32  # problems that a worker of a cluster judges at once


def label(context: Context) -> Summary:
    """Writes `groups.jsonl`, `left_out.jsonl` and, where verdicts were published with the candidates, `disagreements.jsonl`."""
    candidates, engine = context.folder("sample") / "candidates.jsonl", context.recipe.sample.engine
    counts = judge(context, context.problems("train"), candidates, context.folder("label"), engine)
    feedback = context.recipe.align.feedback
    by_rank = (default_feedback(context.recipe) if feedback == "task" else feedback) == "ranking"
    return counts | {"warnings": of_labelling(counts, context.recipe, "sample", by_rank=by_rank)}


def judge(context: Context, problems: Sequence[Problem], candidates: Path, folder: Path, engine: EngineSection) -> Summary:
    """Labels candidates with the recipe's task and reading and the model's context; writes into a folder and gives the counts.
    engine: what sampled them: on a cluster they are judged there too."""

    def fits(problem: Problem) -> Callable[[Candidate], bool]:
        room = context.context_length - len(context.prompter(problem))
        return lambda candidate: len(encode_candidate(context.tokenizer, candidate, end_id=context.end_id)) <= room

    with progress_bar(f"{folder.name}: verdicts", len(problems), "problems") as update:

        def with_progress() -> Iterator[Problem]:
            for number, problem in enumerate(problems, 1):
                yield problem
                update(number)

        with _judging(context, engine) as judging:
            reading = context.recipe.label.reading
            return {**label_files(context.task, with_progress(), candidates, folder, reading, fits, judging)}


@contextmanager
def _judging(context: Context, engine: EngineSection) -> Iterator[Judge | None]:
    if engine.kind != "ray":
        yield None
        return
    places = places_of(engine)
    if engine.gpus_per_worker:  # verdicts need none, and have all cores
        places = replace(places, workers=None, gpus_per_worker=0.0)
    with Workers(partial(_worker, context), places) as workers:
        yield partial(workers.of_each, batch=_BATCH)


def _worker(context: Context) -> Callable[[list[Asked]], list[tuple[Problem, list[Judged]]]]:
    """What judges on a cluster."""
    task, reading = context.task, context.recipe.label.reading
    return lambda asked: [judge_all(task, reading, one) for one in asked]
