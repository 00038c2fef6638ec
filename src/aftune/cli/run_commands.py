"""The commands of a run: all of it, the quickstart, and each stage alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aftune import __version__
from aftune.cli.shared import AllSettings, Debug, DryRun, For, KeepGoing, Overrides, Overwrite, Processes, RecipeFile, Redo, guard


def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    processes: Processes = None,
    dry_run: DryRun = False,
    all_settings: AllSettings = False,
    machine: For = None,
    overwrite: Overwrite = False,
    redo: Redo = None,
    keep_going: KeepGoing = False,
    debug: Debug = False,
) -> None:
    """Run all stages of a recipe; finished stages are skipped."""
    settings = Wanted(processes, dry_run, all_settings, machine, overwrite, redo or [], keep_going)
    guard(lambda: _run(recipe, overrides or [], settings), debug)


def quickstart(
    overrides: Overrides = None,
    processes: Processes = None,
    dry_run: DryRun = False,
    all_settings: AllSettings = False,
    machine: For = None,
    overwrite: Overwrite = False,
    redo: Redo = None,
    keep_going: KeepGoing = False,
    debug: Debug = False,
) -> None:
    """Run the bundled quickstart recipe: needs no data, no network and no GPU."""
    from aftune.recipe import bundled_recipe

    path = bundled_recipe("quickstart.yaml")
    settings = Wanted(processes, dry_run, all_settings, machine, overwrite, redo or [], keep_going)
    guard(lambda: _run(path, overrides or [], settings), debug)


STAGES = {
    "prepare": "Load the problems of each split and check them.",
    "sft": "Fine-tune the base model on the references (VFT).",
    "sample": "Sample candidates for the training problems from the VFT model.",
    "label": "Verify the candidates and form groups.",
    "reference": "Score the candidates with the model that align starts from; DPO, losses like it, and an automatic beta need it.",
    "align": "Train with the VFT loss and the alignment loss (AFT or another method).",
    "control": "Continue VFT for as many steps, or as much compute, as align takes.",
    "evaluate": "Measure task accuracy and assessment accuracy of every model.",
    "report": "Write metrics.json and report.html.",
}


def stage_command(name: str) -> Callable[..., None]:
    """The command that runs one stage."""

    def command(recipe: RecipeFile, overrides: Overrides = None, processes: Processes = None, debug: Debug = False) -> None:
        guard(lambda: _run(recipe, overrides or [], Wanted(processes, only=name)), debug)

    command.__doc__ = STAGES[name]
    return command


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for, beside the recipe."""

    processes: str | None = None
    dry_run: bool = False
    all_settings: bool = False
    machine: str | None = None
    overwrite: bool = False
    redo: Sequence[str] = ()
    keep_going: bool = False
    only: str | None = None


def _run(path: Path, overrides: list[str], wanted: Wanted) -> None:
    from rich.markup import escape

    from aftune.cli.launch import in_processes, join_launcher
    from aftune.common.errors import UsageError
    from aftune.common.progress import console, waiting
    from aftune.pipeline.processes import led, number
    from aftune.recipe import load_recipe

    if wanted.machine is not None and not wanted.dry_run:
        raise UsageError("--for estimates a run on another machine, and runs nothing there; add --dry-run")
    if wanted.all_settings and not wanted.dry_run:
        raise UsageError("--settings says what a dry run prints; add --dry-run, or read recipe.yaml in the folder of the run")
    if wanted.dry_run and wanted.processes is not None:
        overrides = [*overrides, f"launch.processes={wanted.processes}"]
    join_launcher()
    resolved = load_recipe(path, overrides)
    if not wanted.dry_run and in_processes(resolved.launch.processes if wanted.processes is None else wanted.processes):
        return
    if not wanted.dry_run:  # before torch is imported, which takes seconds
        several = f", {number()} processes" if number() > 1 else ""
        place = f"{escape(path.name)} -> {escape(str(resolved.run_dir))}{several}"
        console.print(f"[bold]aftune {__version__}[/bold]  {place}", soft_wrap=True)
    with waiting("loading"):  # torch, which takes seconds
        from aftune.cli.run_views import print_plan, print_results
        from aftune.common.process import keep_freed_memory
        from aftune.pipeline.estimate.machines import busy
        from aftune.pipeline.runner import run_stages

    keep_freed_memory()
    if wanted.dry_run:
        print_plan(resolved, console, wanted.machine, wanted.redo, all_settings=wanted.all_settings)
        return
    with led(resolved.model.device) as leads:
        if leads:
            if load := busy():
                console.print(f"[yellow]{load}[/yellow]", soft_wrap=True)
            run_stages(
                resolved,
                only=wanted.only,
                report=lambda line: console.print(line, soft_wrap=True),
                overwrite=wanted.overwrite,
                redo=wanted.redo,
                keep_going=wanted.keep_going,
            )
            if wanted.only is None:
                print_results(resolved, console)
