"""The commands that look at runs: `aftune status`, `runs`, `show` and `try`."""

from pathlib import Path
from typing import Annotated

import typer

from aftune.cli.shared import Debug, guard


def status(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run directory, or that of a comparison; by default the newest in ./runs."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Say how far a run is: its stages, what runs now and the time it still takes."""
    guard(lambda: _status(run), debug)


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where to look, in its subfolders too.")] = Path("runs"),
    debug: Debug = False,
) -> None:
    """List the runs and comparisons below a folder, with their key figures."""
    guard(lambda: _runs(folder), debug)


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    problem: Annotated[
        str | None, typer.Argument(metavar="[PROBLEM]", help="The id of a problem; without it, a list of them.")
    ] = None,
    mixed: Annotated[bool, typer.Option("--mixed", help="List only problems with right and wrong candidates.")] = False,
    gained: Annotated[bool, typer.Option("--gained", help="List only those that alignment has made right.")] = False,
    lost: Annotated[bool, typer.Option("--lost", help="List only those that alignment has made wrong.")] = False,
    held_out: Annotated[bool, typer.Option("--held-out", help="List only held-out problems.")] = False,
    training: Annotated[bool, typer.Option("--training", help="List only training problems.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many to list; 0 for all.")] = 20,
    score: Annotated[
        bool, typer.Option("--score", help="Of a training problem: load the models, and score its candidates with each.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Show a problem of a run: candidates, verdicts, scores, and the greedy answers of its models; or list the problems."""
    which = [name for name, wanted in (("mixed", mixed), ("gained", gained), ("lost", lost)) if wanted]
    parts = [name for name, wanted in (("training", training), ("held out", held_out)) if wanted]
    guard(lambda: _show(run, problem, which, parts, limit, score=score), debug)


def try_(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help="A run directory, or a model: bundled, a folder, a Hub name.")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="For a model, as in a recipe: task.name=NAME, prompt.style=chat."),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", metavar="TEXT", help="The question; without it, several are asked for.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="TEXT", help="An option to choose from; repeatable.")
    ] = None,
    gold: Annotated[str | None, typer.Option(metavar="ANSWER", help="The right answer, for verdicts.")] = None,
    samples: Annotated[
        int, typer.Option("--samples", "-n", min=0, help="Sample so many responses too, with a vote and scores.")
    ] = 0,
    model: Annotated[
        list[str] | None,
        typer.Option(help="base, vft, vft_same_steps (or _compute), aligned; repeatable. By default all but the control."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="The task whose prompt is used, where a recipe has several.")] = None,
    debug: Debug = False,
) -> None:
    """Ask the models of a run, or any model, a question of your own."""
    asked = None if question is None else (question, option or [], gold)
    guard(lambda: _try(source, settings or [], asked, samples, model or [], task, option or []), debug)


def _status(run: Path | None) -> None:
    from aftune.cli.status_views import print_state
    from aftune.common.progress import console
    from aftune.pipeline.look.states import state_of

    print_state(state_of(run), console)


def _runs(folder: Path) -> None:
    from aftune.cli.status_views import print_rows
    from aftune.common.progress import console
    from aftune.pipeline.look.overview import runs_below

    print_rows(runs_below(folder), folder, console)


def _show(run: Path, problem: str | None, which: list[str], parts: list[str], limit: int, *, score: bool) -> None:
    from aftune.cli.show_views import print_list, print_problem
    from aftune.common.errors import UsageError
    from aftune.common.progress import console, waiting
    from aftune.pipeline.look.reading import read_problem, read_problems

    if len(which) > 1:
        raise UsageError(f"--{which[0]} and --{which[1]}: choose one of them")
    if score and problem is None:
        raise UsageError("--score: scores the candidates of one problem; give its id too")
    if problem is None:
        print_list(read_problems(run, parts or ("training", "held out"), which[0] if which else "all"), run, limit, console)
    else:
        reading = read_problem(run, problem)
        if score:
            with waiting("scoring with each model"):
                from aftune.pipeline.look.scoring import scored

                reading = scored(reading, run)
        print_problem(reading, run, console)


def _try(
    source: str,
    settings: list[str],
    asked: tuple[str, list[str], str | None] | None,
    samples: int,
    models: list[str],
    task: str | None,
    options: list[str],
) -> None:
    from aftune.common.progress import console, waiting

    with waiting("loading"):  # torch, which takes seconds
        from aftune.cli.try_views import ask_again, print_answers
        from aftune.pipeline.look.asking import Asker, Question

        asker = Asker(source, models, settings, task=task, keep=asked is None)
    if asked is None:
        ask_again(asker, options, samples, console)
    else:
        print_answers(asker, Question(*asked), samples, console)
