"""Stage `label`: groups of judged candidates."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aftune.common.progress import progress_bar
from aftune.groups.labelling import label_files
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.recipe_task import default_feedback
from aftune.pipeline.warning_signs import of_labelling
from aftune.prompts.encoding import encode_candidate
from aftune.records import Candidate, Problem


def label(context: Context) -> Summary:
    """Writes `groups.jsonl`, `left_out.jsonl` and, where verdicts were published with the candidates, `disagreements.jsonl`."""
    counts = judge(context, context.problems("train"), context.folder("sample") / "candidates.jsonl", context.folder("label"))
    feedback = context.recipe.align.feedback
    by_rank = (default_feedback(context.recipe) if feedback == "task" else feedback) == "ranking"
    return counts | {"warnings": of_labelling(counts, context.recipe, "sample", by_rank=by_rank)}


def judge(context: Context, problems: Sequence[Problem], candidates: Path, folder: Path) -> Summary:
    """Labels candidates with the recipe's task and reading and the model's context; writes into a folder and gives the counts."""

    def fits(problem: Problem) -> Callable[[Candidate], bool]:
        room = context.context_length - len(context.prompter(problem))
        return lambda candidate: len(encode_candidate(context.tokenizer, candidate, end_id=context.end_id)) <= room

    with progress_bar(f"{folder.name}: verdicts", len(problems), "problems") as update:

        def with_progress() -> Iterator[Problem]:
            for number, problem in enumerate(problems, 1):
                yield problem
                update(number)

        return {**label_files(context.task, with_progress(), candidates, folder, context.recipe.label.reading, fits)}
