"""`aftune compare`."""

from pathlib import Path
from typing import Annotated

import typer

from aftune.cli.shared import Debug, DryRun, Overrides, Overwrite, Processes, RecipeFile, guard


def compare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    methods: Annotated[
        str | None, typer.Option(help="Methods, separated by commas: vft,rft,aft-bc,aft-bc:beta=0.3:k=4. `help` lists them.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds, counting up from the recipe's.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time; they share the cores.")] = None,
    processes: Processes = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Compare methods on the same candidates and seeds, from VFT models of the comparison's own, not those of a run; finished runs
    are skipped."""
    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    guard(lambda: _compare(recipe, overrides or [], names, seeds, jobs, processes, dry_run=dry_run, overwrite=overwrite), debug)


def _compare(
    path: Path,
    overrides: list[str],
    methods: list[str] | None,
    seeds: int | None,
    jobs: int | None,
    processes: str | None,
    *,
    dry_run: bool,
    overwrite: bool,
) -> None:
    from aftune.cli.launch import in_processes, join_launcher
    from aftune.common.progress import console
    from aftune.pipeline.processes import led
    from aftune.recipe import load_recipe

    join_launcher()
    resolved = load_recipe(path, overrides)
    if not dry_run and methods != ["help"] and in_processes(resolved.launch.processes if processes is None else processes):
        return
    from aftune.cli import compare_views
    from aftune.common.process import keep_freed_memory
    from aftune.pipeline.compare import runs

    keep_freed_memory()
    if methods == ["help"]:
        compare_views.print_methods(console)
        return
    if dry_run:
        compare_views.print_plan(runs.comparison(resolved, methods, seeds), console)
        return
    with led(resolved.model.device) as leads:
        if leads:
            wanted = runs.comparison(resolved, methods, seeds)
            runs.make_room(wanted, overwrite=overwrite)
            compare_views.run_and_print(wanted, resolved.compare.jobs if jobs is None else jobs, console)
