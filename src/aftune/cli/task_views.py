"""What `aftune validate` and `aftune benchmark` print."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune.common.wording import counted
from aftune.pipeline.validate import Validated
from aftune.tasks.checks import FINDINGS, Validation

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
_BAD_ROWS_SHOWN = 20


def print_benchmark(metrics: Mapping[str, Any], console: Console) -> None:
    """Accuracy over questions with its interval, by reading, and over subjects."""
    low, high = (100 * bound for bound in metrics["accuracy_ci95"])
    questions = counted(metrics["num_problems"], "question")
    console.print(f"accuracy {100 * metrics['accuracy']:.1f} % ({low:.1f}-{high:.1f}) on {questions}")
    for reading, share in metrics.get("accuracy_by_reading", {}).items():
        console.print(f"  {reading} reading {100 * share:.1f} %")
    subjects = metrics.get("accuracy_by_subject", metrics.get("by_subject", {}))
    if len(subjects) > 1:
        console.print(f"mean over {len(subjects)} subjects {100 * metrics['subject_accuracy']:.1f} %")
    if metrics.get("num_truncated"):
        responses = counted(metrics["num_truncated"], "response")
        console.print(f"cut off at evaluate.max_new_tokens: {responses}")


def print_validation(validated: Validated, console: Console) -> None:
    """A table for each task, and where the findings are."""
    for name, validation in validated.by_task.items():
        _print_task(name, validation, validated.with_lengths, console)
    where = f": {escape(str(validated.path))}" if validated.num_findings else ""
    console.print(f"{counted(validated.num_findings, 'finding')}{where}", soft_wrap=True)
    if not validated.usable:
        why = "a row cannot be read, an id is repeated, or a gold answer is refused by the task's own verifier"
        console.print(f"[red]Not usable: {why}.[/red]", soft_wrap=True)


def _print_task(name: str, validation: Validation, with_lengths: bool, console: Console) -> None:
    table = Table(title=f"task {name}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for summary in validation.splits:
        table.add_column(summary.split, justify="right", no_wrap=True)
    table.add_row("problems", *(f"{summary.problems:,}" for summary in validation.splits))
    table.add_row("with a reference", *(f"{summary.references:,}" for summary in validation.splits), end_section=True)
    for kind in FINDINGS:
        if with_lengths or kind != "too_long":
            table.add_row(_MEANING[kind], *(f"{summary.findings[kind]:,}" for summary in validation.splits))
    console.print(table)
    bad = [row["reason"] for row in validation.findings if row["kind"] in ("unreadable", "repeated_id")]
    for reason in bad[:_BAD_ROWS_SHOWN]:
        console.print(f"[red]{escape(reason)}[/red]", soft_wrap=True)
    if len(bad) > _BAD_ROWS_SHOWN:
        more = counted(len(bad) - _BAD_ROWS_SHOWN, "more row")
        console.print(f"[red]and {more} with unreadable data or a repeated id[/red]", soft_wrap=True)
