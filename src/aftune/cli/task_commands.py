"""The commands about tasks: list them, check their data, measure a model on one."""

from pathlib import Path
from typing import Annotated

import typer

from aftune.cli.shared import Debug, Processes, guard


def tasks(debug: Debug = False) -> None:
    """List the tasks: splits, kind of answers, version, and where the data comes from."""
    guard(_tasks, debug)


def validate(
    task: Annotated[str, typer.Argument(metavar="TASK_OR_RECIPE", help="A task's name (`aftune tasks`), or a recipe.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="As in a recipe: data=FOLDER, model.name=NAME, task.options.shots=0."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the findings; TASK-findings.jsonl by default.")] = None,
    debug: Debug = False,
) -> None:
    """Check all rows of a task's or recipe's data; exit status 1 for an unreadable row, a repeated id or a refused gold answer."""
    guard(lambda: _validate(task, settings or [], out), debug)


def benchmark(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="bundled, a local folder in Hugging Face format, or a Hub name.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name; `aftune tasks` lists them.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder for metrics and verdicts.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="As in a recipe: data=FOLDER, prompt.style=chat, task.options.shots=0."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="A split or a slice of it: test[:500]. By default test; of a single file, all of it.")
    ] = None,
    letters: Annotated[bool, typer.Option("--letters", help="Compare the likelihoods of the options' letters.")] = False,
    processes: Processes = None,
    debug: Debug = False,
) -> None:
    """Measure a model on a task, by greedy responses or by the likelihood of the options' letters."""
    guard(lambda: _benchmark(model, task, out, settings or [], processes, split=split, letters=letters), debug)


def _tasks() -> None:
    from aftune.cli.task_list import print_tasks
    from aftune.common.progress import console

    print_tasks(console)


def _validate(task: str, settings: list[str], out: Path | None) -> None:
    from aftune.cli.task_views import print_validation
    from aftune.common.progress import console
    from aftune.pipeline.validate import validate as check

    validated = check(task, settings, out)
    print_validation(validated, console)
    if not validated.usable:
        raise typer.Exit(1)


def _benchmark(
    model: str, task: str, out: Path, settings: list[str], processes: str | None, *, split: str | None, letters: bool
) -> None:
    from aftune.cli.launch import in_processes, join_launcher

    join_launcher()
    if in_processes(processes or 1):
        return
    from aftune.cli.task_views import print_benchmark
    from aftune.common.progress import console
    from aftune.pipeline.benchmark import benchmark as measure

    if metrics := measure(model, task, out, settings, split=split, letters=letters):
        print_benchmark(metrics, console)
