"""The command `aftune`: its commands in the order of `aftune --help`. Nothing heavy is imported before it is needed."""

import os
from collections.abc import Callable
from typing import Annotated

import typer

from aftune import __version__
from aftune.cli.begin_commands import init, recipes
from aftune.cli.compare_commands import compare
from aftune.cli.export_commands import export, push
from aftune.cli.look_commands import runs, show, status, try_
from aftune.cli.run_commands import STAGES, quickstart, run, stage_command
from aftune.cli.task_commands import benchmark, tasks, validate
from aftune.cli.verify_commands import verify
from aftune.pipeline import processes

app = typer.Typer(
    help="Alignment fine-tuning (AFT): language models that score good chains of thought above bad ones.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"aftune {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


# By the group that `aftune --help` shows them in: the commands, and an example of each.
_COMMANDS: dict[str, tuple[tuple[Callable[..., None], str], ...]] = {
    "Begin": (
        (quickstart, "aftune quickstart"),
        (init, "aftune init own.jsonl --answer target"),
        (recipes, "aftune recipes"),
        (tasks, "aftune tasks"),
        (validate, "aftune validate own.yaml"),
    ),
    "Run": (
        (run, "aftune run quickstart seed=1 --dry-run"),
        (compare, "aftune compare compare-small --methods vft,aft-bc:beta=0.3 --seeds 3"),
        (benchmark, "aftune benchmark bundled gsm8k data=FOLDER --out runs/gsm8k"),
    ),
    "Look at runs": (
        (status, "aftune status runs/quickstart"),
        (runs, "aftune runs"),
        (show, "aftune show runs/quickstart"),
        (try_, "aftune try runs/quickstart -q '5 birds, 2 fly away: how many stay?'"),
    ),
    "Use what a run left": (
        (verify, "aftune verify runs/quickstart"),
        (export, "aftune export runs/quickstart --to preference-pairs --out pairs.jsonl"),
        (push, "aftune push runs/quickstart OWNER/NAME --private"),
    ),
}
_STAGES_PANEL = "One stage of a run (`aftune run` does all of them)"

for _panel, _group in _COMMANDS.items():
    for _command, _example in _group:
        name = _command.__name__.strip("_")  # `try` is a word of Python
        app.command(name=name, rich_help_panel=_panel, epilog=f"Example: {_example}")(_command)
for _name in STAGES:
    app.command(name=_name, rich_help_panel=_STAGES_PANEL, epilog=f"Example: aftune {_name} quickstart seed=1")(
        stage_command(_name)
    )


def main() -> None:
    """Entry point; a wrong command line exits with status 2."""
    # Threads that wait for each other spin first. On a busy machine they spin for a thread that has no core: training took twice as
    # long (benchmarks/spinning.py). It has to be said before torch is imported; no result depends on it.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except SystemExit as ended:
        if processes.number() > 1:
            processes.end(ended.code if isinstance(ended.code, int) else 0)
        raise
