"""Stage `prepare`: the problems of each split, checked against the model's context, with whatever was left out listed."""

from collections import Counter
from collections.abc import Iterator

from aftune.encoding import too_long
from aftune.errors import DataError
from aftune.pipeline.context import Context, Summary
from aftune.records import Problem, write_json, write_records

# Test first: a problem that stands in two splits stays where it is measured.
_ORDER = ("test", "validation", "train")


def prepare(context: Context) -> Summary:
    """Writes `train.jsonl`, `validation.jsonl`, `test.jsonl` and `left_out.json`.

    Raises DataError for a problem that does not fit the context, unless task.skip_too_long is set, and for a split that
    nothing is left of.
    """
    held_out: dict[str, str] = {}
    left_out: list[dict[str, str]] = []
    sizes = dict.fromkeys(("train", "validation", "test"), 0)
    for split in _ORDER:
        write_records(context.folder("prepare") / f"{split}.jsonl", _kept(context, split, held_out, left_out, sizes))
    write_json(context.folder("prepare") / "left_out.json", left_out)
    return {**sizes, "left_out": len(left_out)}


def _kept(
    context: Context, split: str, held_out: dict[str, str], left_out: list[dict[str, str]], sizes: dict[str, int]
) -> Iterator[Problem]:
    """The problems of a split that stay. Notes on the way which questions are held out (and in which split), what is left
    out, and how many stay."""
    section = getattr(context.recipe.task, split)
    num_kept: Counter[str] = Counter()  # by task
    for problem in context.task.stream(section):
        num_kept[problem.task] += 0
        question = " ".join(problem.question.split())
        reason = _misfit(context, problem)
        if reason is None and held_out.get(question, split) != split:
            reason = f"{problem.id}: the same question is in {held_out[question]}"
        if reason is not None:
            left_out.append({"split": split, "id": problem.id, "reason": reason})
            continue
        if split != _ORDER[-1]:
            held_out[question] = split
        sizes[split] += 1
        num_kept[problem.task] += 1
        yield problem
    for name, number in num_kept.items():
        if not number:
            what = section if len(num_kept) == 1 else f"task {name}"
            raise DataError(f"task.{split}: no problem of {what} is left; see the reasons: {left_out[-3:]}")


def _misfit(context: Context, problem: Problem) -> str | None:
    """Why a problem is left out for its length, or None; raises DataError where such problems are not to be left out."""
    prompt, reference = context.task.prompt(problem), context.task.reference_response(problem)
    reason = too_long(context.tokenizer, problem, prompt, reference, context.context_length)
    if reason is not None and not context.recipe.task.skip_too_long:
        raise DataError(f"{reason}; remove it, set task.skip_too_long=true to leave such problems out, or use a longer context")
    return reason
