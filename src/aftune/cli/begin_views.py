"""What `aftune init` asks and prints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune.common.wording import counted, cut_short, one_line
from aftune.pipeline.begin.file import Guessed
from aftune.pipeline.begin.settings import smallest_told
from aftune.recipe import BUNDLED
from aftune.tasks.columns import KINDS, Columns

if TYPE_CHECKING:
    from aftune.pipeline.begin.write import Begun

_ROWS_SHOWN = 3
_BAD_ROWS_SHOWN = 10
_CELL = 120  # characters of a text, at most
_NONE = "-"
_COARSE = 7  # points of accuracy


def ask_file(found: Sequence[Path]) -> Path:
    """The file of questions; the first that is there is the default."""
    default = str(found[0]) if found else None
    return Path(str(typer.prompt("File of questions (JSON Lines, JSON, CSV or TSV)", default=default)))


def ask_model() -> str:
    return str(typer.prompt("Model: bundled (a toy), a folder in Hugging Face format, or a name of the Hub", default=BUNDLED))


def ask_whether_right() -> bool:
    return typer.confirm("Is this right?", default=True)


def ask_columns(guessed: Guessed) -> dict[str, str | None]:
    """Each column, with the guess as the default, under the names of the command's options."""
    columns = guessed.columns
    typer.echo(f"Columns of the file: {', '.join(map(one_line, guessed.names))}")
    asked: dict[str, str | None] = {
        "question": typer.prompt("Column of the questions", default=columns.question),
        "answer": typer.prompt("Column of the right answers", default=columns.answer),
        "rationale": typer.prompt("Column of the rationales, the worked solutions", default=columns.rationale),
        "kind": typer.prompt(f"Kind of answers ({', '.join(KINDS)})", default=columns.kind),
    }
    if asked["kind"] == "choice":
        default = ",".join(_names(columns.options)) or None
        asked["options"] = typer.prompt("Column of the lists of options, or a column for each (A,B,C,D)", default=default)
    return asked


def print_columns(guessed: Guessed, console: Console) -> None:
    """What the columns are taken to be, with the first rows."""
    columns, rows = guessed.columns, guessed.rows[:_ROWS_SHOWN]
    title = f"{escape(str(guessed.data))} as aftune reads it"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("column", overflow="fold")
    for number in range(1, len(rows) + 1):
        table.add_column(f"row {number}", overflow="fold", ratio=1)
    roles = _roles(columns)
    for what, names in roles.items():
        named = escape(", ".join(map(one_line, names))) or "[yellow]not found[/yellow]"
        table.add_row(what, named, *(escape(cut_short("; ".join(_cells(row, names)), _CELL)) for row in rows))
    console.print(table)
    used = {name for names in roles.values() for name in names}
    if unused := [one_line(name) for name in guessed.names if name not in used]:
        console.print(f"not used: {escape(cut_short(', '.join(unused), 300))}", soft_wrap=True, highlight=False)
    console.print(f"kind of answers: [bold]{columns.kind}[/bold]")


def _roles(columns: Columns) -> dict[str, list[str]]:
    """What is read, and the columns that hold it."""
    roles = {"question": _names(columns.question), "answer": _names(columns.answer), "rationale": _names(columns.rationale)}
    return roles | ({"options": _names(columns.options)} if columns.kind == "choice" else {})


def _names(column: str | list[str] | None) -> list[str]:
    return [] if column is None else column if isinstance(column, list) else [column]


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [_NONE if row.get(name) is None else one_line(_cell(row[name])) for name in names]


def _cell(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


def print_begun(begun: "Begun", console: Console) -> None:
    """What was found, the rows that cannot be read, what was written, and what to do next."""
    looked, settings = begun.looked, begun.settings
    console.print()
    use = f"{settings.num_train:,} of them to train on, {settings.num_test:,} to measure on"
    console.print(f"[bold]{counted(len(looked.problems), 'question')}[/bold], {use}")
    told = smallest_told(settings.num_test)
    if told > _COARSE:
        console.print(
            f"[yellow]{settings.num_test} questions to measure on can show only differences of about {told:.0f} points; to see "
            f"{_COARSE} points takes some two hundred. A run works all the same.[/yellow]",
            soft_wrap=True,
        )
    if settings.toy:
        console.print(
            "[yellow]The bundled model is a toy. It shows that everything works; of your questions it learns little, so expect few "
            "right answers, or none. For a result name a real model: --model.[/yellow]",
            soft_wrap=True,
        )
    if begun.bad_lines is not None:
        listed = escape(str(begun.bad_lines))
        console.print(f"[red]{counted(len(looked.bad), 'row')} cannot be read[/red], listed in {listed}:", soft_wrap=True)
        for reason in looked.bad[:_BAD_ROWS_SHOWN]:
            console.print(f"  [red]{escape(one_line(reason))}[/red]", soft_wrap=True, highlight=False)
        if len(looked.bad) > _BAD_ROWS_SHOWN:
            console.print(f"  and {counted(len(looked.bad) - _BAD_ROWS_SHOWN, 'more row')}")
    if looked.contradictions:
        many = counted(len(looked.contradictions), "rationale")
        console.print(f"[yellow]{many} against the answer, not imitated by a run:[/yellow]", soft_wrap=True)
        for reason in looked.contradictions[:_BAD_ROWS_SHOWN]:
            console.print(f"  [yellow]{escape(one_line(reason))}[/yellow]", soft_wrap=True, highlight=False)
        if len(looked.contradictions) > _BAD_ROWS_SHOWN:
            console.print("  and more, which `aftune validate` lists")
        if 2 * len(looked.contradictions) > len(looked.problems):
            console.print("[red]These are more than half of them: are the columns right (--question, --answer, --rationale)?[/red]")
    if begun.lengths.too_long:
        many = counted(begun.lengths.too_long, "question")
        console.print(f"[yellow]{many} with their rationales do not fit the model's context; a run leaves them out[/yellow]")
    ends = ((one.gold_answer, (one.rationale or "").strip().rpartition("\n")[2]) for one in looked.problems)
    if end := next((end for answer, end in ends if answer in end), None):
        end = escape(cut_short(one_line(end), _CELL))
        console.print(f"so ends a response that a model learns from (add nothing to your file): [bold]{end}[/bold]", soft_wrap=True)
    recipe, run_dir = escape(str(begun.recipe)), escape(str(begun.run_dir))
    console.print(f"written: [bold]{recipe}[/bold], with a comment at every setting; its run goes to {run_dir}", soft_wrap=True)
    console.print()
    console.print("Correct these rows first: a run stops at them. Then" if looked.bad else "Next", highlight=False)
    steps = {
        f"aftune validate {recipe}": "checks every row",
        f"aftune run {recipe} --dry-run": "settings, time and memory; touches nothing",
        f"aftune run {recipe}": "from the base model to the report",
    }
    width = max(map(len, steps))
    if begun.extras:
        console.print(f"  [bold]pip install 'aftune\\[{','.join(begun.extras)}]'[/bold]", soft_wrap=True, highlight=False)
    for command, what in steps.items():
        console.print(f"  [bold]{command}[/bold]{' ' * (width - len(command))}  {what}", soft_wrap=True, highlight=False)
