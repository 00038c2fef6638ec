"""The command `aftune`: its commands in the order of `aftune --help`. Nothing heavy is imported before it is needed."""

from typing import Annotated

import typer

from aftune import __version__
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
    add_completion=False,
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


for _command in (run, quickstart, compare, status, runs, show, try_, tasks, validate, benchmark, verify, export, push):
    app.command(name=_command.__name__.rstrip("_"))(_command)  # `try` is a word of Python
for _name in STAGES:
    app.command(name=_name)(stage_command(_name))


def main() -> None:
    """Entry point; a wrong command line exits with status 2."""
    try:
        app()
    except SystemExit as ended:
        if processes.number() > 1:
            processes.end(ended.code if isinstance(ended.code, int) else 0)
        raise
