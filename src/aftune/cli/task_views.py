"""What `aftune validate` and `aftune benchmark` print, and the findings that are written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune import tasks
from aftune.common.errors import UsageError
from aftune.common.text_files import write_lines
from aftune.models.loading import context_length, load_config, load_tokenizer
from aftune.pipeline import recipe_task
from aftune.pipeline.context import make_prompter
from aftune.prompts.encoding import too_long
from aftune.recipe import Recipe, load_recipe, recipe_from
from aftune.records import Problem
from aftune.tasks.checks import FINDINGS, TooLong, Validation, validate
from aftune.tasks.few_shot import choose_examples

_MEANING = {
    "unreadable": "cannot be read",
    "repeated_id": "repeated ids",
    "gold": "gold answer refused",
    "contradiction": "rationale against the gold answer",
    "reference": "reference refused",
    "too_long": "longer than the context",
    "duplicate": "repeated questions",
    "overlap": "question of another split",
    "left_out": "left out by the task",
    "rationale_left_out": "rationale left out",
}
_RECIPE_ENDINGS = (".yaml", ".yml")
_BAD_ROWS_SHOWN = 20


def print_benchmark(metrics: Mapping[str, Any], console: Console) -> None:
    """Accuracy over questions with its interval, by reading, and over subjects."""
    low, high = (100 * bound for bound in metrics["accuracy_ci95"])
    console.print(f"accuracy {100 * metrics['accuracy']:.1f} % ({low:.1f}-{high:.1f}) of {metrics['num_problems']:,} questions")
    for reading, share in metrics.get("accuracy_by_reading", {}).items():
        console.print(f"  {reading} reading {100 * share:.1f} %")
    subjects = metrics.get("accuracy_by_subject", metrics.get("by_subject", {}))
    if len(subjects) > 1:
        console.print(f"mean over {len(subjects)} subjects {100 * metrics['subject_accuracy']:.1f} %")
    if metrics.get("num_truncated"):
        console.print(f"{metrics['num_truncated']:,} responses were cut off; evaluate.max_new_tokens is their limit")


def run_validation(what: str, overrides: Sequence[str], out: Path | None, console: Console) -> bool:
    """Validates the data of a task, or of all tasks of a recipe file, prints a table for each and writes the findings; whether the
    data can be used.

    A task takes settings as in a recipe (`data=FOLDER`, `task.options.shots=0`, `model.name=...`), a recipe those that replace its
    own. Lengths are checked where a model is named, in a recipe always. Raises UsageError for a task or a setting that does not
    exist.
    """
    recipe, has_model = _wanted(what, overrides)
    validations: list[Validation] = []
    for key, part in recipe_task.used(recipe).items():
        task = recipe_task.build_one(recipe, key, part)
        validations.append(validate(task, _length_check(task, recipe) if has_model else lambda problem: None))
        _print(part.name, validations[-1], has_model, console)
    findings = [row for validation in validations for row in validation.findings]
    path = out.expanduser() if out else Path(f"{Path(what).stem}-findings.jsonl")
    if findings or out:
        write_lines(path, (json.dumps(row, ensure_ascii=False) for row in findings))
    where = f": {escape(str(path))}" if findings else ""
    console.print(f"{len(findings):,} findings{where}", soft_wrap=True)
    usable = all(validation.usable for validation in validations)
    if not usable:
        why = "a row cannot be read, an id is repeated, or a gold answer is refused by the task's own verifier"
        console.print(f"[red]Not usable: {why}.[/red]", soft_wrap=True)
    return usable


def _wanted(what: str, overrides: Sequence[str]) -> tuple[Recipe, bool]:
    """The recipe of a task's name or of a file, and whether its model is one that somebody named."""
    if what not in tasks.TASKS and (Path(what).suffix in _RECIPE_ENDINGS or Path(what).exists()):
        recipe = load_recipe(Path(what), overrides)
        recipe_task.check(recipe)
        return recipe, True
    recipe = recipe_from({"run_dir": "unused", "task": {"name": what}}, overrides, "aftune validate")
    if recipe.task.name != what:
        raise UsageError("aftune validate: the task is the first argument; leave task.name out")
    tasks.check_options(what, recipe.task.options)
    return recipe, any(override.startswith("model.name=") for override in overrides)


def _length_check(task: tasks.Task, recipe: Recipe) -> TooLong:
    section = recipe.model
    tokenizer = load_tokenizer(section.name, trust_remote_code=section.trust_remote_code)
    config = load_config(section.name, trust_remote_code=section.trust_remote_code)
    if config is None:
        raise UsageError(f"model.name: the settings of {section.name!r} are not here; give a local folder")
    context = context_length(config)

    examples = choose_examples(task, _readable(task), recipe.prompt.few_shot, recipe.seed)
    prompter = make_prompter(tokenizer, task, recipe.prompt, examples)

    def check(problem: Problem) -> str | None:
        return too_long(tokenizer, problem, prompter(problem), task.sound_reference(problem), context)

    return check


def _readable(task: tasks.Task) -> Iterator[Problem]:
    """The training problems, as far as their rows can be read."""
    return (entry for entry in task.survey("train") if isinstance(entry, Problem))


def _print(name: str, validation: Validation, has_model: bool, console: Console) -> None:
    table = Table(title=f"task {name}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for summary in validation.splits:
        table.add_column(summary.split, justify="right", no_wrap=True)
    table.add_row("problems", *(f"{summary.problems:,}" for summary in validation.splits))
    table.add_row("with a reference", *(f"{summary.references:,}" for summary in validation.splits), end_section=True)
    for kind in FINDINGS:
        if has_model or kind != "too_long":
            table.add_row(_MEANING[kind], *(f"{summary.findings[kind]:,}" for summary in validation.splits))
    console.print(table)
    bad = [row["reason"] for row in validation.findings if row["kind"] in ("unreadable", "repeated_id")]
    for reason in bad[:_BAD_ROWS_SHOWN]:
        console.print(f"[red]{escape(reason)}[/red]", soft_wrap=True)
    if len(bad) > _BAD_ROWS_SHOWN:
        console.print(f"[red]and {len(bad) - _BAD_ROWS_SHOWN:,} more rows that cannot be read[/red]", soft_wrap=True)
