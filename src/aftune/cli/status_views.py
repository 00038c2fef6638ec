"""What `aftune status` and `aftune runs` print."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aftune.common.progress import time_left
from aftune.common.progress_record import Record
from aftune.common.wording import counted, duration, one_line, visible
from aftune.pipeline.look.overview import Figures, Row
from aftune.pipeline.look.states import ComparisonState, RunState, StageState

_LOOKS = {
    "finished": "green",
    "running": "bold cyan",
    "failed": "red",
    "killed": "red",
    "interrupted": "yellow",
    "again": "yellow",
    "waiting": "yellow",
    "unfinished": "yellow",
}
_WORDS = {"again": "to do again", "unfinished": "not finished"}
_MISSING = "-"


def print_state(found: RunState | ComparisonState, console: Console) -> None:
    """A line for each stage, and what to do next; of a comparison, its seeds and methods."""
    recipe = found.recipe
    console.print(
        f"[bold]{escape(recipe.title)}[/bold]  {_state(found.state)}  [dim]{_text(str(found.path))}[/dim]", soft_wrap=True
    )
    console.print(f"{_text(recipe.task_title)}, {_text(recipe.model.name)}, seed {recipe.seed}", soft_wrap=True)
    if isinstance(found, ComparisonState):
        _print_comparison(found, console)
    else:
        _print_run(found, console)


def _print_run(found: RunState, console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for stage in found.stages:
        seconds = duration(stage.seconds) if stage.seconds and stage.state != "running" else ""
        table.add_row(_text(stage.name), _state(stage.state), seconds, _about(stage, found.progress))
    console.print(table)
    path = found.path
    if found.in_use and found.progress is None:
        console.print("A process is at work here; it is between two stages, or of an earlier aftune.")
    elif found.state == "finished":
        if (path / "report.html").is_file():
            console.print(f"page: {_text(str(path / 'report.html'))}", soft_wrap=True)
    elif not found.in_use:
        console.print("The command that began this run continues it where it stopped.")


def _about(stage: StageState, progress: Record | None) -> str:
    if stage.state == "running" and progress is not None:
        return position(progress)
    if stage.state == "finished":
        return f"[yellow]{counted(stage.warnings, 'warning')}[/yellow]" if stage.warnings else ""
    got = position(progress, left=False) if progress is not None and progress.stage == stage.name and progress.total else ""
    why = _text(one_line(stage.why))
    return f"{why}{'; ' if why and got else ''}{f'it had got to {got}' if got else ''}"


def position(progress: Record, *, left: bool = True) -> str:
    """`candidates: 120 of 400 candidates (30 %), 2 min left`, in rich's markup."""
    if not progress.total:
        return f"for {time_left(time.time() - progress.begun)}" if left else ""
    title = progress.title.removeprefix(f"{progress.stage}: ")
    name = "" if title == progress.stage else f"{_text(title)}: "
    text = f"{name}{progress.done:,} of {progress.total:,} {_text(progress.unit)} ({100 * progress.done / progress.total:.0f} %)"
    if progress.part:
        text += f", {_text(progress.part.removeprefix(f'{progress.stage}: '))}"
    remaining = progress.left if left else None
    return text if remaining is None else f"{text}, {time_left(remaining)} left"


def _print_comparison(found: ComparisonState, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("method", overflow="fold")
    for seed in found.runs:
        table.add_column(f"seed {seed}", no_wrap=True)
    for name in ("shared", *found.methods):
        states = (runs[name] for runs in found.runs.values())
        table.add_row(
            "(shared)" if name == "shared" else _text(name), *("to do" if run is None else _state(run.state) for run in states)
        )
    console.print(table)
    for seed, runs in found.runs.items():
        for name, run in runs.items():
            for stage in () if run is None else run.stages:
                if stage.state not in ("finished", "to do") and (about := _about(stage, run.progress if run else None)):
                    where = f"seed {seed}, {_text(name)}, {_text(stage.name)}"
                    console.print(f"{where}: {_state(stage.state)}  {about}", soft_wrap=True)
    if (found.path / "compare.html").is_file():
        console.print(f"page: {_text(str(found.path / 'compare.html'))}", soft_wrap=True)


def print_rows(rows: Sequence[Row], folder: Path, console: Console) -> None:
    """A table of runs, two lines each; of a comparison, a line for each method too."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("run\nlast change", overflow="fold", min_width=16)
    table.add_column("task\nmodel", overflow="fold")
    table.add_column("method\nstate", overflow="fold")
    for heading in ("base", "VFT", "aligned"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("assess-\nment", justify="right", no_wrap=True)
    for row in rows:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.changed))
        place = _place(row, folder)
        model = Path(row.model).name or row.model
        state = "[red]cannot be read[/red]" if row.trouble else _state(row.state)
        table.add_row(
            f"[bold]{place}[/bold]\n[dim]{when}[/dim]",
            f"{_text(row.task)}\n[dim]{_text(model)}[/dim]",
            f"{_text(row.method)}\n{state}",
            *_figures(row.figures),
            end_section=not row.methods,
        )
        for place_of, (title, figures) in enumerate(row.methods.items(), 1):
            table.add_row("", "", f"[dim]{_text(title)}[/dim]", *_figures(figures), end_section=place_of == len(row.methods))
    console.print(table)
    for row in rows:
        if row.trouble:
            console.print(f"[red]{_text(one_line(row.trouble))}[/red]", soft_wrap=True)
    note = "base, VFT, aligned: accuracy, %; assessment: assessment accuracy of the\naligned model, %"
    if any(row.methods for row in rows):
        note += "; of a comparison: of each method, controls too, means over its seeds"
    console.print(note, style="dim")


def _place(row: Row, folder: Path) -> str:
    """The folder, and the name where it is another one."""
    place = str(row.path.relative_to(folder)) if row.path != folder else row.path.resolve().name
    return _text(place) if row.name == row.path.resolve().name else f"{_text(row.name)} ({_text(place)})"


def _figures(figures: Figures) -> list[str]:
    accuracy: Mapping[str, float] = figures.accuracy
    return [_percent(value) for value in (*(accuracy.get(key) for key in ("base", "vft", "aligned")), figures.assessment)]


def _percent(share: float | None) -> str:
    return _MISSING if share is None else f"{100 * share:.1f}"


def _state(state: str) -> str:
    word, look = _WORDS.get(state, state), _LOOKS.get(state)
    return f"[{look}]{word}[/{look}]" if look else word


def _text(text: str) -> str:
    """Any text in one line of rich's markup."""
    return escape(visible(one_line(text)))
