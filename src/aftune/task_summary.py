"""What `aftune validate` and `aftune benchmark` print, and the findings that are written."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune import models, tasks
from aftune.encoding import too_long
from aftune.errors import UsageError
from aftune.pipeline.context import make_prompter
from aftune.prompts import choose_examples
from aftune.recipe import Recipe, recipe_from
from aftune.records import Problem, write_lines
from aftune.validation import FINDINGS, Misfit, Validation, validate

_MEANING = {
    "unreadable": "cannot be read",
    "gold": "gold answer refused",
    "reference": "reference refused",
    "too_long": "longer than the context",
    "duplicate": "repeated questions",
    "overlap": "question of another split",
    "left_out": "left out by the task",
    "rationale_left_out": "rationale left out",
}


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


def run_validation(name: str, overrides: Sequence[str], out: Path | None, console: Console) -> bool:
    """Validates a task with settings as in a recipe (`data=FOLDER`, `task.options.shots=0`, `model.name=...`), prints the table and
    writes the findings; whether the data can be used.

    Lengths are checked where a model is named. Raises UsageError for a task or a setting that does not exist.
    """
    recipe = recipe_from({"run_dir": "unused", "task": {"name": name}}, overrides, "aftune validate")
    if recipe.task.name != name:
        raise UsageError("aftune validate: the task is the first argument; leave task.name out")
    task = tasks.build(name, recipe.data, recipe.seed, recipe.task.options)
    has_model = any(override.startswith("model.name=") for override in overrides)
    validation = validate(task, _misfit(task, recipe) if has_model else lambda problem: None)
    path = out or Path(f"{name}-findings.jsonl")
    if validation.findings or out:
        write_lines(path, (json.dumps(row, ensure_ascii=False) for row in validation.findings))
    _print(name, validation, has_model, path, console)
    return validation.usable


def _misfit(task: tasks.Task, recipe: Recipe) -> Misfit:
    section = recipe.model
    tokenizer = models.load_tokenizer(section.name, trust_remote_code=section.trust_remote_code)
    config = models.load_config(section.name, trust_remote_code=section.trust_remote_code)
    if config is None:
        raise UsageError(f"model.name: the settings of {section.name!r} are not here; give a local folder")
    context = models.context_length(config)

    number = recipe.prompt.few_shot
    examples = choose_examples(task.stream("train"), number, recipe.seed, task.reference_response) if number else []
    prompter = make_prompter(tokenizer, task, recipe.prompt, examples)

    def misfit(problem: Problem) -> str | None:
        return too_long(tokenizer, problem, prompter(problem), task.reference_response(problem), context)

    return misfit


def _print(name: str, validation: Validation, has_model: bool, path: Path, console: Console) -> None:
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
    for row in validation.findings:
        if row["kind"] == "unreadable":
            console.print(f"[red]{escape(row['reason'])}[/red]", soft_wrap=True)
    where = f": {escape(str(path))}" if validation.findings else ""
    console.print(f"{len(validation.findings):,} findings{where}", soft_wrap=True)
    if not validation.usable:
        console.print(
            "[red]Not usable: a row cannot be read, or its gold answer is refused by the task's own verifier.[/red]", soft_wrap=True
        )
