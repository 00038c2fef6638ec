"""The command line: parses, calls one function, prints. No logic; nothing heavy is imported before it is needed."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from aftune import __version__

app = typer.Typer(
    help="Alignment fine-tuning (AFT): language models that score good chains of thought above bad ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[SECTION.KEY=VALUE]...", help="Settings that replace the recipe's.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the resolved recipe, the stages and their cost; touch nothing.")]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"aftune {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command()
def run(recipe: RecipeFile, overrides: Overrides = None, dry_run: DryRun = False, debug: Debug = False) -> None:
    """Run all stages of a recipe; what is finished is skipped."""
    _guard(lambda: _run(recipe, overrides or [], dry_run=dry_run), debug)


@app.command()
def quickstart(overrides: Overrides = None, dry_run: DryRun = False, debug: Debug = False) -> None:
    """Run the bundled quickstart recipe: needs no data, no network and no GPU."""
    from aftune.recipe import bundled_recipe

    _guard(lambda: _run(bundled_recipe("quickstart.yaml"), overrides or [], dry_run=dry_run), debug)


@app.command()
def compare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    methods: Annotated[
        str | None, typer.Option(help="Methods, with commas between: vft,rft,aft-bc,aft-bc:beta=0.3:k=4. `help` lists them.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds, from the recipe's on.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time; they share the cores.")] = None,
    dry_run: DryRun = False,
    debug: Debug = False,
) -> None:
    """Compare methods on the same candidates and seeds; what is finished is skipped."""
    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    _guard(lambda: _compare(recipe, overrides or [], names, seeds, jobs, dry_run=dry_run), debug)


def _stage_command(name: str, text: str) -> None:
    def command(recipe: RecipeFile, overrides: Overrides = None, debug: Debug = False) -> None:
        _guard(lambda: _run(recipe, overrides or [], only=name), debug)

    command.__doc__ = text
    app.command(name=name)(command)


for _name, _text in (
    ("prepare", "Load the problems of each split and check them."),
    ("sft", "Fine-tune the base model on the references (VFT)."),
    ("sample", "Sample candidates for the training problems from the VFT model."),
    ("label", "Verify the candidates and form groups."),
    ("reference", "Score the candidates with the model that align starts from; DPO and an automatic beta need it."),
    ("align", "Train with the VFT loss and the alignment loss (AFT)."),
    ("control", "Go on with VFT for as many steps as align takes."),
    ("evaluate", "Measure task accuracy and assessment accuracy of every model."),
    ("report", "Write metrics.json and report.html."),
):
    _stage_command(_name, _text)


def _run(path: Path, overrides: list[str], *, only: str | None = None, dry_run: bool = False) -> None:
    from aftune.progress import console
    from aftune.recipe import load_recipe

    resolved = load_recipe(path, overrides)
    warnings.filterwarnings("ignore", category=FutureWarning)
    from aftune import machine, summary
    from aftune.pipeline.runner import run_stages

    machine.keep_freed_memory()

    if dry_run:
        summary.print_plan(resolved, console)
        return
    console.print(f"[bold]aftune {__version__}[/bold]  {path.name} -> {resolved.run_dir}", soft_wrap=True)
    run_stages(resolved, only=only, report=lambda line: console.print(line, soft_wrap=True))
    if only is None:
        summary.print_results(resolved, console)


def _compare(
    path: Path, overrides: list[str], methods: list[str] | None, seeds: int | None, jobs: int | None, *, dry_run: bool
) -> None:
    from aftune.progress import console
    from aftune.recipe import load_recipe

    resolved = load_recipe(path, overrides)
    warnings.filterwarnings("ignore", category=FutureWarning)
    from aftune import comparison_summary, machine
    from aftune.pipeline import compare

    machine.keep_freed_memory()
    wanted = compare.comparison(resolved, methods, seeds)
    if dry_run:
        comparison_summary.print_plan(wanted, console)
        return
    comparison_summary.run_and_print(wanted, resolved.compare.jobs if jobs is None else jobs, console)


def _guard(action: Callable[[], Any], debug: bool) -> None:
    """Runs a command; an error becomes one line on standard error and an exit status."""
    try:
        action()
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped", 130)
    except Exception as error:
        if debug:
            raise
        from aftune.diagnosis import diagnose

        known = diagnose(error)
        _fail(str(known), known.exit_status)


def _fail(message: str, status: int) -> None:
    typer.echo(f"aftune: error: {message}", err=True)
    raise typer.Exit(status)


def main() -> None:
    """Entry point; a wrong command line exits with status 2."""
    app()


if __name__ == "__main__":
    main()
