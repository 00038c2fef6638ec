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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run of another recipe in this run_dir.")]
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
def run(
    recipe: RecipeFile, overrides: Overrides = None, dry_run: DryRun = False, overwrite: Overwrite = False, debug: Debug = False
) -> None:
    """Run all stages of a recipe; what is finished is skipped."""
    _guard(lambda: _run(recipe, overrides or [], dry_run=dry_run, overwrite=overwrite), debug)


@app.command()
def quickstart(overrides: Overrides = None, dry_run: DryRun = False, overwrite: Overwrite = False, debug: Debug = False) -> None:
    """Run the bundled quickstart recipe: needs no data, no network and no GPU."""
    from aftune.recipe import bundled_recipe

    _guard(lambda: _run(bundled_recipe("quickstart.yaml"), overrides or [], dry_run=dry_run, overwrite=overwrite), debug)


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
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Compare methods on the same candidates and seeds; what is finished is skipped."""
    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    _guard(lambda: _compare(recipe, overrides or [], names, seeds, jobs, dry_run=dry_run, overwrite=overwrite), debug)


@app.command()
def tasks(debug: Debug = False) -> None:
    """List the tasks: splits, kind of answers, version, where the data comes from."""
    _guard(_tasks, debug)


@app.command()
def validate(
    task: Annotated[str, typer.Argument(metavar="TASK_OR_RECIPE", help="A task's name (`aftune tasks`), or a recipe file.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="As in a recipe: data=FOLDER, model.name=NAME, task.options.shots=0."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File of the findings; TASK-findings.jsonl by default.")] = None,
    debug: Debug = False,
) -> None:
    """Check every row of the data of a task or a recipe; status 1 where a gold answer is refused or a row cannot be read."""
    _guard(lambda: _validate(task, settings or [], out), debug)


@app.command()
def benchmark(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="bundled, a local folder in Hugging Face format, or a Hub name.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task's name; `aftune tasks` lists them.")],
    out: Annotated[Path, typer.Option("--out", help="A new folder for metrics and verdicts.")],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="As in a recipe: data=FOLDER, prompt.style=chat, task.options.shots=0."),
    ] = None,
    split: Annotated[str, typer.Option(help="A split or a slice of it: test[:500].")] = "test",
    letters: Annotated[bool, typer.Option("--letters", help="Compare the likelihoods of the options' letters.")] = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a task: greedy responses, or the letters of options by likelihood."""
    _guard(lambda: _benchmark(model, task, out, settings or [], split=split, letters=letters), debug)


@app.command()
def export(
    source: Annotated[Path, typer.Argument(metavar="GROUPS_OR_RUN", help="A groups.jsonl, or a run directory.")],
    to: Annotated[str, typer.Option("--to", help="preference-pairs, dataset or samples.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write; for dataset, a new folder.")],
    pairs: Annotated[str, typer.Option(help="Pairs of a group: all, or one (a best and a worst candidate).")] = "all",
    ranks: Annotated[bool, typer.Option("--ranks", help="Compare candidates by rank.")] = False,
    model: Annotated[str, typer.Option(help="For samples: base, vft, vft_same_steps (or _compute), or aligned.")] = "aligned",
    form: Annotated[str, typer.Option("--from", help="Format of a file: groups, or voted_explanations.")] = "groups",
    debug: Debug = False,
) -> None:
    """Write groups as preference pairs or as a dataset, or a model's verdicts as evaluation samples."""
    _guard(lambda: _export(source, to, out, pairs=pairs, ranks=ranks, model=model, form=form), debug)


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
    ("align", "Train with the VFT loss and the alignment loss (AFT or another method)."),
    ("control", "Go on with VFT for as many steps, or as much compute, as align takes."),
    ("evaluate", "Measure task accuracy and assessment accuracy of every model."),
    ("report", "Write metrics.json and report.html."),
):
    _stage_command(_name, _text)


def _run(path: Path, overrides: list[str], *, only: str | None = None, dry_run: bool = False, overwrite: bool = False) -> None:
    from aftune.common.progress import console
    from aftune.recipe import load_recipe

    resolved = load_recipe(path, overrides)
    if not dry_run:  # before torch is imported, which takes seconds
        console.print(f"[bold]aftune {__version__}[/bold]  {path.name} -> {resolved.run_dir}", soft_wrap=True)
    warnings.filterwarnings("ignore", category=FutureWarning)
    from aftune.cli.run_views import print_plan, print_results
    from aftune.common.process import keep_freed_memory
    from aftune.pipeline.runner import run_stages

    keep_freed_memory()
    if dry_run:
        print_plan(resolved, console)
        return
    run_stages(resolved, only=only, report=lambda line: console.print(line, soft_wrap=True), overwrite=overwrite)
    if only is None:
        print_results(resolved, console)


def _compare(
    path: Path,
    overrides: list[str],
    methods: list[str] | None,
    seeds: int | None,
    jobs: int | None,
    *,
    dry_run: bool,
    overwrite: bool,
) -> None:
    from aftune.common.progress import console
    from aftune.recipe import load_recipe

    resolved = load_recipe(path, overrides)
    warnings.filterwarnings("ignore", category=FutureWarning)
    from aftune.cli import compare_views
    from aftune.common.process import keep_freed_memory
    from aftune.pipeline.compare import runs

    keep_freed_memory()
    if methods == ["help"]:
        compare_views.print_methods(console)
        return
    wanted = runs.comparison(resolved, methods, seeds)
    if dry_run:
        compare_views.print_plan(wanted, console)
        return
    runs.make_room(wanted, overwrite=overwrite)
    compare_views.run_and_print(wanted, resolved.compare.jobs if jobs is None else jobs, console)


def _tasks() -> None:
    from aftune.cli.task_list import print_tasks
    from aftune.common.progress import console

    print_tasks(console)


def _validate(task: str, settings: list[str], out: Path | None) -> None:
    from aftune.cli.task_views import run_validation
    from aftune.common.progress import console

    if not run_validation(task, settings, out, console):
        raise typer.Exit(1)


def _benchmark(model: str, task: str, out: Path, settings: list[str], *, split: str, letters: bool) -> None:
    from aftune.cli.task_views import print_benchmark
    from aftune.common.progress import console
    from aftune.pipeline.benchmark import benchmark as measure

    print_benchmark(measure(model, task, out, settings, split=split, letters=letters), console)


def _export(source: Path, to: str, out: Path, **options: Any) -> None:
    from aftune.common.progress import console
    from aftune.pipeline.export import export as write

    counts = write(source, to, out, **options)
    console.print(f"{out}: " + ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in counts.items()), soft_wrap=True)


def _guard(action: Callable[[], Any], debug: bool) -> None:
    """Runs a command; an error becomes one line on standard error and an exit status."""
    try:
        action()
    except KeyboardInterrupt:
        _fail("interrupted; the same command goes on where it stopped", 130)
    except typer.Exit:
        raise
    except Exception as error:
        if debug:
            raise
        from aftune.common.diagnosis import diagnose

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
