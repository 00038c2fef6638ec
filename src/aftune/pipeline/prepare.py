"""Stage `prepare`: the problems of each split, checked against the model's context, with whatever was left out listed."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from aftune import tasks
from aftune.encoding import too_long
from aftune.errors import DataError
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.task import used
from aftune.prompts import choose_examples, question_key
from aftune.records import Problem, write_json, write_records
from aftune.tasks import LeftOut

# Test first: a problem that stands in two splits stays where it is measured.
_ORDER = ("test", "validation", "train")


def prepare(context: Context) -> Summary:
    """Writes `train.jsonl`, `validation.jsonl`, `test.jsonl`, for prompts with examples `examples.jsonl`, and `left_out.json`,
    which also lists what the task itself left out of the splits that the slices are of. References that a task does not use are
    counted.

    Raises DataError for a problem that does not fit the context, unless task.skip_too_long is set, and for a split that
    nothing is left of.
    """
    if context.recipe.prompt.few_shot:
        write_records(context.folder("prepare") / "examples.jsonl", _examples(context))
    held_out: dict[str, str] = {}
    left_out: list[dict[str, str]] = []
    sizes = dict.fromkeys(("train", "validation", "test"), 0)
    num_references = 0
    for split in _ORDER:
        write_records(context.folder("prepare") / f"{split}.jsonl", _kept(context, split, held_out, left_out, sizes))
    slices = [context.task.parse_slice(getattr(context.recipe.task, split)) for split in _ORDER]
    listed: set[LeftOut] = set()  # parts of a mixture may take several splits of it from one of theirs
    for named in dict.fromkeys(wanted.split for wanted in slices):
        for entry in dict.fromkeys(context.task.left_out(named)):
            if entry in listed:
                continue
            listed.add(entry)
            num_references += entry.what == "rationale"
            if entry.what == "problem":
                left_out.append({"split": named, "id": entry.id, "reason": entry.reason})
    write_json(context.folder("prepare") / "left_out.json", left_out)
    references = {"references_left_out": num_references} if num_references else {}
    return {**sizes, "left_out": len(left_out), **references}


def _examples(context: Context) -> list[Problem]:
    """Training problems to show, of each task; none of them is held out. Raises DataError where there are too few."""
    task, section, number = context.task, context.recipe.task, context.recipe.prompt.few_shot
    streams = (task.stream(section.test), task.stream(section.validation))
    held_out = frozenset(question_key(problem.question, problem.options) for problem in chain(*streams))
    chosen: list[Problem] = []
    for name in dict.fromkeys(tasks.find(part.name).problem_task() for part in used(context.recipe).values()):
        own = (problem for problem in task.stream(section.train) if problem.task == name)
        of_task = choose_examples(own, number, context.recipe.seed, task.reference_response, held_out)
        if len(of_task) <= number:
            raise DataError(
                f"prompt.few_shot is {number}, which takes {number + 1} training problems of {name} with a reference; "
                f"task.train has {len(of_task)} that are not held out"
            )
        chosen += of_task
    return chosen


def _kept(
    context: Context, split: str, held_out: dict[str, str], left_out: list[dict[str, str]], sizes: dict[str, int]
) -> Iterator[Problem]:
    """The problems of a split that stay. Notes on the way which questions are held out (and in which split), what is left
    out, and how many stay."""
    section = getattr(context.recipe.task, split)
    num_kept: Counter[str] = Counter()  # by task
    for problem in context.task.stream(section):
        num_kept[problem.task] += 0
        question = question_key(problem.question, problem.options)
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
    prompt, reference = context.prompter(problem), context.task.reference_response(problem)
    reason = too_long(context.tokenizer, problem, prompt, reference, context.context_length)
    if reason is not None and not context.recipe.task.skip_too_long:
        raise DataError(f"{reason}; remove it, set task.skip_too_long=true to leave such problems out, or use a longer context")
    return reason
