"""Stage `prepare`: the problems of each split, checked against the model's context, with whatever was left out listed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from aftune import tasks
from aftune.common.errors import DataError
from aftune.common.json_text import write_json
from aftune.pipeline.context import Context, Summary
from aftune.pipeline.recipe_task import check_apart, used
from aftune.prompts.encoding import too_long
from aftune.records import Problem, with_unique_ids, write_records
from aftune.records.questions import question_key
from aftune.tasks import LeftOut
from aftune.tasks.few_shot import choose_examples

# Test first: a problem that is in two splits stays where it is measured.
_ORDER = ("test", "validation", "train")


def prepare(context: Context) -> Summary:
    """Writes `train.jsonl`, `validation.jsonl`, `test.jsonl`, for prompts with examples `examples.jsonl`, and `left_out.json`,
    which also lists what the task itself left out of the splits in use. `what` is problem there, or rationale where only the
    reference was left out: a training problem whose rationale contradicts its gold answer goes, a held-out one stays without its
    rationale.

    Raises UsageError for splits that share rows, DataError for a problem that does not fit the context, unless task.skip_too_long
    is set, for two problems with the same id, and for a split of which nothing is left.
    """
    check_apart(context.recipe, context.task)
    if context.recipe.prompt.few_shot:
        write_records(context.folder("prepare") / "examples.jsonl", _examples(context))
    noted = _Noted()
    for split in _ORDER:
        write_records(context.folder("prepare") / f"{split}.jsonl", _kept(context, split, noted))
    slices = [context.task.parse_slice(getattr(context.recipe.task, split)) for split in _ORDER]
    listed: set[LeftOut] = set()  # a part of a mixture may supply several of its splits from one of the part's own
    for named in dict.fromkeys(wanted.split for wanted in slices):
        for entry in dict.fromkeys(context.task.left_out(named)):
            if entry not in listed:
                listed.add(entry)
                noted.leave_out(named, entry)
    write_json(context.folder("prepare") / "left_out.json", noted.left_out)
    num_references = sum(row["what"] == "rationale" for row in noted.left_out)
    counts = {"left_out": len(noted.left_out) - num_references}
    more = {"references_left_out": num_references, "contradictions": noted.num_contradictions}
    return {**noted.sizes, **counts, **{name: number for name, number in more.items() if number}}


@dataclass
class _Noted:
    """What was seen on the way: which questions are held out (and in which split), what is left out, how many problems stay."""

    held_out: dict[str, str] = field(default_factory=dict)
    left_out: list[dict[str, str]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("train", "validation", "test"), 0))
    num_contradictions: int = 0

    def leave_out(self, split: str, entry: LeftOut) -> None:
        self.left_out.append({"split": split, "id": entry.id, "reason": entry.reason, "what": entry.what})


def _examples(context: Context) -> list[Problem]:
    """Training problems to show, of each task; none of them is held out. Raises DataError where there are too few."""
    task, section, number = context.task, context.recipe.task, context.recipe.prompt.few_shot
    chosen: list[Problem] = []
    for name in dict.fromkeys(tasks.find(part.name).problem_task() for part in used(context.recipe).values()):
        held_out = chain(task.stream(section.test), task.stream(section.validation))
        own = (problem for problem in task.stream(section.train) if problem.task == name)
        of_task = choose_examples(task, own, number, context.recipe.seed, held_out)
        if len(of_task) <= number:
            raise DataError(
                f"prompt.few_shot is {number}, which takes {number + 1} training problems of {name} with a reference; "
                f"without those held out, task.train has {len(of_task)}"
            )
        chosen += of_task
    return chosen


def _kept(context: Context, split: str, noted: _Noted) -> Iterator[Problem]:
    """The problems of a split that stay."""
    section = getattr(context.recipe.task, split)
    num_kept: Counter[str] = Counter()  # by task
    for problem in with_unique_ids(context.task.stream(section), f"task.{split}"):
        num_kept[problem.task] += 0
        question = question_key(problem.question, problem.options)
        reason = _why_too_long(context, problem)
        if reason is None and noted.held_out.get(question, split) != split:
            reason = f"{problem.id}: the same question is in {noted.held_out[question]}"
        if reason is not None:
            noted.leave_out(split, LeftOut(problem.id, reason))
            continue
        against = context.task.contradiction(problem)
        if against is not None:
            noted.num_contradictions += 1
            noted.leave_out(split, LeftOut(problem.id, against, "problem" if split == _ORDER[-1] else "rationale"))
            if split == _ORDER[-1]:
                continue
            problem = problem.model_copy(update={"rationale": None})
        if split != _ORDER[-1]:
            noted.held_out[question] = split
        noted.sizes[split] += 1
        num_kept[problem.task] += 1
        yield problem
    for name, number in num_kept.items():
        if not number:
            what = section if len(num_kept) == 1 else f"task {name}"
            raise DataError(f"task.{split}: no problem of {what} is left; see the reasons: {noted.left_out[-3:]}")


def _why_too_long(context: Context, problem: Problem) -> str | None:
    """Why a problem is left out for its length, or None; raises DataError unless such problems may be left out."""
    prompt, reference = context.prompter(problem), context.task.sound_reference(problem)
    reason = too_long(context.tokenizer, problem, prompt, reference, context.context_length)
    if reason is not None and not context.recipe.task.skip_too_long:
        raise DataError(
            f"{reason}; remove it, set task.skip_too_long=true to leave such problems out, or use a model with a longer context"
        )
    return reason
