"""`aftune benchmark`: one model on one split of one task, by generation or by the likelihood of letters; nothing is trained."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aftune import tasks
from aftune.common.errors import AftuneError, DataError, UsageError
from aftune.common.json_text import read_json, write_json
from aftune.common.text_files import write_lines
from aftune.evaluation.accuracy import accuracy_metrics
from aftune.evaluation.letters import letter_accuracy, letter_prompter
from aftune.evaluation.statistics import proportion_interval
from aftune.pipeline import processes, recipe_task
from aftune.pipeline.context import Context
from aftune.pipeline.directory.changes import input_changes, setting_changes, what_matters
from aftune.pipeline.directory.inputs import problem_inputs
from aftune.pipeline.directory.run_directory import RunDirectory, missing_folders, remove_made
from aftune.pipeline.machine_checks import needed_for
from aftune.pipeline.precision_choice import settle
from aftune.pipeline.stages.measure import greedy_verdicts
from aftune.prompts.encoding import too_long
from aftune.prompts.prompter import Prompter
from aftune.recipe import Recipe, recipe_from
from aftune.records import Problem, write_records
from aftune.records.appended import forget_all_checksums
from aftune.tasks.few_shot import choose_examples
from aftune.tasks.jsonl import WHOLE_FILE, Jsonl

_GENERATED_EXAMPLES = "train[:1000]"  # what examples are chosen from where a task could make problems without end
_LETTER_TOKENS = 4  # the most that a letter takes after a prompt


def benchmark(
    model: str, task: str, out: Path, overrides: Sequence[str] = (), *, split: str | None = None, letters: bool = False
) -> dict[str, Any]:
    """Gives the metrics of a model, or of the one behind a server's address, on a split or a slice of it; writes `metrics.json` and
    `verdicts.jsonl` (for letters `letters.jsonl`) into a folder of its own, where an interrupted run continues.

    split: by default `test`, or all rows of a single file of one's own. overrides: settings as in a recipe (`data=FOLDER`,
    `prompt.style=chat`, `evaluate.max_new_tokens=512`). Raises UsageError for a folder that holds another benchmark and for letters
    where a task's answers are none, DataError for a question that does not fit the model's context, unless task.skip_too_long is
    set (a server knows its own). Several processes share the responses, and only the first gets metrics; letters are compared by
    the first alone.
    """
    out = out.expanduser()
    served = model.startswith(("http://", "https://"))
    engine = {"kind": "openai", "base_url": model, "same_tokenizer": False}
    asked = {"evaluate": {"engine": engine}} if served else {"model": {"name": model}}
    recipe = recipe_from({"run_dir": str(out), "task": {"name": task}, **asked}, overrides, "aftune benchmark")
    if recipe.task.name != task or (recipe.evaluate.engine.base_url if served else recipe.model.name) != model:
        raise UsageError("aftune benchmark: model and task are the first two arguments; leave model.name and task.name out")
    tasks.check_options(task, recipe.task.options)
    split = split or (WHOLE_FILE if task == Jsonl.name and recipe.data is not None and recipe.data.is_file() else "test")
    tasks.find(task).parse_slice(split)
    recipe = recipe.model_copy(update={"task": recipe.task.model_copy(update={"test": split})})
    if letters and recipe_task.build(recipe).answer_kind.name != "choice":
        raise UsageError(f"--letters: the answers of task {task} are not letters of options; leave --letters out")
    if letters and served:
        raise UsageError("--letters: a server gives no scores; leave --letters out, or load the model itself")
    needed_for(recipe.evaluate.engine, "evaluate")
    with processes.led(recipe.model.device) as leads:
        return _claimed(_settled(recipe, out), out, letters=letters) if leads else {}


def _claimed(recipe: Recipe, out: Path, *, letters: bool) -> dict[str, Any]:
    """`benchmark` in a folder that is found free for it or begun by it."""
    context = Context(recipe, RunDirectory(out))
    split = recipe.task.test
    _ = context.tokenizer, next(context.task.stream(split))  # whatever is missing shows before the folder is claimed
    made = missing_folders(out)
    _claim(recipe, out, letters=letters)
    try:
        metrics = _measured(context, out, letters=letters)
    except AftuneError:
        if not _has_answers(out):  # they may have cost money: the next run asks for the others alone
            remove_made(made)
        raise
    write_json(out / "metrics.json", metrics)
    forget_all_checksums(out)
    return metrics


def _has_answers(out: Path) -> bool:
    responses = out / "responses.jsonl"
    return responses.exists() and responses.stat().st_size > 0


def _measured(context: Context, out: Path, *, letters: bool) -> dict[str, Any]:
    if letters:
        return _letters(context, out)
    if context.recipe.prompt.few_shot:
        write_records(context.folder("prepare") / "examples.jsonl", _examples(context))
    served = context.recipe.evaluate.engine.kind == "openai"
    problems = list(context.task.stream(context.recipe.task.test)) if served else _fitting(context, context.prompter, 1)
    return accuracy_metrics(problems, greedy_verdicts(context, out, "base", problems, "benchmark"))


def _settled(recipe: Recipe, out: Path) -> Recipe:
    """The recipe with the precision of an interrupted benchmark in this folder, else settled for this machine."""
    path = out / "benchmark.json"
    if recipe.model.precision == "auto" and path.exists():
        begun = read_json(path)["recipe"]["model"]["precision"]
        return recipe.model_copy(update={"model": recipe.model.model_copy(update={"precision": begun})})
    return recipe if recipe.evaluate.engine.kind == "openai" else settle(recipe, []).recipe


def _claim(recipe: Recipe, out: Path, *, letters: bool) -> None:
    """Records what the folder is for; raises UsageError where it holds something else."""
    path = out / "benchmark.json"
    version, settings = tasks.TASKS[recipe.task.name].version, recipe.model_dump(mode="json", exclude={"run_dir"})
    wanted: dict[str, Any] = {"letters": letters, "version": version, "recipe": settings, "inputs": problem_inputs(recipe)}
    if path.exists():
        begun = read_json(path)
        changes = [f"{name}: {begun[name]} -> {wanted[name]}" for name in ("letters", "version") if begun[name] != wanted[name]]
        changes += setting_changes(what_matters(begun["recipe"]), what_matters(settings))
        changes += input_changes(begun["inputs"], wanted["inputs"])
        if changes:
            raise UsageError(f"--out: {out} holds another benchmark ({', '.join(changes)}); choose a new folder")
    elif out.exists() and any(out.iterdir()):
        raise UsageError(f"--out: {out} is not empty; choose a new folder")
    write_json(path, wanted)


def _fitting(context: Context, prompter: Prompter, room: int) -> list[Problem]:
    kept = []
    for problem in context.task.stream(context.recipe.task.test):
        reason = too_long(context.tokenizer, problem, prompter(problem), None, context.context_length - room + 1)
        if reason is None:
            kept.append(problem)
        elif not context.recipe.task.skip_too_long:
            raise DataError(f"{reason}; use fewer examples, a model with a longer context, or task.skip_too_long=true")
    if not kept:
        raise DataError(f"no question of {context.recipe.task.test} fits the model's context of {context.context_length:,} tokens")
    return kept


def _examples(context: Context) -> list[Problem]:
    """Training problems to show as examples; none of them is measured."""
    task, recipe = context.task, context.recipe
    pool = _GENERATED_EXAMPLES if task.generated else "train"
    return choose_examples(task, task.stream(pool), recipe.prompt.few_shot, recipe.seed, task.stream(recipe.task.test))


def _letters(context: Context, out: Path) -> dict[str, Any]:
    problems = _fitting(context, letter_prompter(context.tokenizer, context.task), _LETTER_TOKENS)
    found = letter_accuracy(context.load_policy("base", float32=True), context.tokenizer, context.task, problems)
    rows = ({"problem_id": problem.id, "letter": letter} for problem, letter in zip(problems, found.chosen, strict=True))
    write_lines(out / "letters.jsonl", map(json.dumps, rows))
    metrics = {key: value for key, value in asdict(found).items() if key != "chosen"}
    num_right = round(found.accuracy * len(problems))
    return {**metrics, "accuracy_ci95": proportion_interval(num_right, len(problems)), "num_problems": len(problems)}
