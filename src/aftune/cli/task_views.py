"""What `aftune validate` and `aftune benchmark` print."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aftune.common.wording import counted, cut_short, one_line
from aftune.pipeline.validate import Validated
from aftune.tasks.checks import FINDINGS, Validation

_MEANING = {
    "unreadable": "cannot be read",
    "repeated_id": "repeated ids",
    "gold": "gold answer refused",
    "contradiction": "rationale against the gold answer",
    "rationale": "rationale refused",
    "too_long": "longer than the context",
    "duplicate": "repeated questions",
    "overlap": "question of another split",
    "left_out": "left out by the task",
    "rationale_left_out": "rationale left out",
}
_OF_ROWS = ("unreadable", "repeated_id")  # kinds of findings that are shown by row: there is no problem
_BAD_ROWS_SHOWN = 20
_FINDINGS_SHOWN = 5  # of each kind of the others


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
        _print_task(name, validation, console)
    checked = [_MEANING[kind] for kind in FINDINGS if validated.with_lengths or kind != "too_long"]
    console.print(f"looked for: {', '.join(checked)}", style="dim")
    if validated.num_findings:
        console.print(f"{counted(validated.num_findings, 'finding')}: {escape(str(validated.path))}", soft_wrap=True)
    elif validated.num_problems:
        console.print(f"[green]No findings: all {counted(validated.num_problems, 'problem')} can be used.[/green]")
    if not validated.usable:
        why = "a row cannot be read, an id is repeated, or a gold answer is refused by the task's own verifier"
        console.print(f"[red]Not usable: {why}.[/red]", soft_wrap=True)


def _print_task(name: str, validation: Validation, console: Console) -> None:
    """How many problems each split has, how many findings of each kind that there are, and the rows that cannot be used."""
    table = Table(title=f"task {name}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for summary in validation.splits:
        table.add_column(summary.split, justify="right", no_wrap=True)
    table.add_row("problems", *(f"{summary.problems:,}" for summary in validation.splits))
    table.add_row("with a sound rationale", *(f"{summary.references:,}" for summary in validation.splits), end_section=True)
    for kind in FINDINGS:
        if any(summary.findings[kind] for summary in validation.splits):
            table.add_row(_MEANING[kind], *(f"{summary.findings[kind]:,}" for summary in validation.splits))
    console.print(table)
    alike: dict[str, list[str]] = {}
    for row in validation.findings:
        if row["kind"] in _OF_ROWS:
            place, _, why = str(row["reason"]).partition(": ")
            alike.setdefault(why, []).append(place)
    for why, places in islice(alike.items(), _BAD_ROWS_SHOWN):
        console.print(f"[red]{escape(f'{places[0]}: {why}')}[/red]", soft_wrap=True)
        if len(places) > 1:
            console.print(
                f"  [red]and {counted(len(places) - 1, 'more row')}: {escape(cut_short(', '.join(places[1:])))}[/red]",
                soft_wrap=True,
            )
    if more := sum(map(len, islice(alike.values(), _BAD_ROWS_SHOWN, None))):
        console.print(f"[red]and {counted(more, 'more row')} with unreadable data or a repeated id[/red]", soft_wrap=True)
    for kind in (kind for kind in FINDINGS if kind not in _OF_ROWS):
        rows = [row for row in validation.findings if row["kind"] == kind]
        for row in rows[:_FINDINGS_SHOWN]:
            asked = f" “{row['question']}”" if "question" in row else ""
            console.print(Text(f"{row['id']}{asked}: {one_line(row['reason'])}", "yellow"), soft_wrap=True)
        if len(rows) > _FINDINGS_SHOWN:
            console.print(f"[yellow]and {len(rows) - _FINDINGS_SHOWN:,} more: {_MEANING[kind]}[/yellow]", soft_wrap=True)
