"""What the commands share: arguments, and how an error ends them."""

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from aftune.common import interrupts

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML), or the name of one of `aftune recipes`.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Settings that replace the recipe's.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run of another recipe in this run_dir.")]
Processes = Annotated[str | None, typer.Option("--processes", help="Processes on this machine: a number, or auto for one per GPU.")]
Redo = Annotated[
    list[str] | None, typer.Option("--redo", metavar="STAGE", help="Make this stage again, and those that read it; repeatable.")
]
KeepGoing = Annotated[bool, typer.Option("--keep-going", help="After an error, run the stages that do not need the failed one.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the settings, the stages, their time and memory; touch nothing.")]
AllSettings = Annotated[
    bool, typer.Option("--settings", help="With --dry-run: all settings, not only those that are not the defaults.")
]

For = Annotated[
    str | None, typer.Option("--for", metavar="MACHINE", help="With --dry-run: another machine, such as 1xA100-80 or 1x24GiB.")
]


def guard(action: Callable[[], Any], debug: bool) -> None:
    """Runs a command; an error becomes one line on standard error and an exit status. What libraries say to programmers, a user
    is spared."""
    if not debug:
        warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        with interrupts.heard():
            action()
    except KeyboardInterrupt as error:
        from aftune.pipeline import processes

        # A library that has taken Ctrl-C for itself raises Python's own.
        asked = error if isinstance(error, interrupts.Interrupted) else interrupts.Interrupted(signal.SIGINT)
        if processes.number() > 1 and (not processes.is_first() or processes.LAUNCHER in os.environ):
            raise typer.Exit(asked.exit_status) from error
        typer.echo(f"aftune: stopped by {asked.told}; the same command continues where it stopped", err=True)
        raise typer.Exit(asked.exit_status) from error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if debug:
            raise
        from aftune.common.diagnosis import diagnose
        from aftune.pipeline import processes

        known = diagnose(error)
        if processes.says_nothing(error):
            raise typer.Exit(processes.SAID_NOTHING) from error
        _fail(str(known), known.exit_status)


def _fail(message: str, status: int) -> None:
    typer.echo(f"aftune: error: {message}", err=True)
    raise typer.Exit(status)
