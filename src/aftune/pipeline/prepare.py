"""Stage `prepare`: the problems of each split, checked against the model's context, with whatever was left out listed."""

from aftune.encoding import too_long
from aftune.errors import DataError
from aftune.pipeline.context import Context, Summary
from aftune.records import Problem, write_json, write_records


def prepare(context: Context) -> Summary:
    """Writes `train.jsonl`, `validation.jsonl`, `test.jsonl` and `left_out.json`.

    Raises DataError for a problem that does not fit the context, unless task.skip_too_long is set, and for a split that
    nothing is left of.
    """
    recipe = context.recipe
    seen: dict[str, str] = {}
    left_out: list[dict[str, str]] = []
    sizes: dict[str, int] = {}
    # Test first: a problem that stands in two splits stays where it is measured.
    for split in ("test", "validation", "train"):
        kept: list[Problem] = []
        for problem in context.task.load(getattr(recipe.task, split)):
            key = " ".join(problem.question.split())
            reason = too_long(
                context.tokenizer,
                problem,
                context.task.prompt(problem),
                context.task.reference_response(problem),
                context.context_length,
            )
            if reason is not None and not recipe.task.skip_too_long:
                raise DataError(
                    f"{reason}; remove it, set task.skip_too_long=true to leave such problems out, or use a longer context"
                )
            if reason is None and seen.get(key, split) != split:
                reason = f"{problem.id}: the same question is in {seen[key]}"
            if reason is not None:
                left_out.append({"split": split, "id": problem.id, "reason": reason})
                continue
            seen[key] = split
            kept.append(problem)
        if not kept:
            raise DataError(f"task.{split}: no problem of {getattr(recipe.task, split)} is left; see the reasons: {left_out[:3]}")
        write_records(context.folder("prepare") / f"{split}.jsonl", kept)
        sizes[split] = len(kept)
    write_json(context.folder("prepare") / "left_out.json", left_out)
    return {**{split: sizes[split] for split in ("train", "validation", "test")}, "left_out": len(left_out)}
