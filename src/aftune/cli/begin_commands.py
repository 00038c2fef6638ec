"""The commands to begin with: the recipes that come with aftune, and a recipe for one's own questions."""

from pathlib import Path
from typing import Annotated

import typer

from aftune.cli.shared import Debug, guard

_Column = str | None


def recipes(debug: Debug = False) -> None:
    """List the recipes that come with aftune, what they need and how long they take."""
    guard(_recipes, debug)


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where the recipe goes.")] = Path("."),
    data: Annotated[
        Path | None, typer.Option(help="File of questions (JSON Lines, JSON, CSV, TSV). Without it, aftune asks for everything.")
    ] = None,
    question: Annotated[_Column, typer.Option(metavar="COLUMN", help="The column of the questions.")] = None,
    answer: Annotated[_Column, typer.Option(metavar="COLUMN", help="That of the right answers.")] = None,
    solution: Annotated[
        _Column, typer.Option(metavar="COLUMN", help="That of the reference solutions; the same as --answer if these state it.")
    ] = None,
    options: Annotated[
        _Column, typer.Option(metavar="COLUMN", help="That of the lists of options, or a column for each: A,B,C,D.")
    ] = None,
    kind: Annotated[_Column, typer.Option(metavar="KIND", help="Kind of answers: number, choice, math or text.")] = None,
    model: Annotated[str | None, typer.Option(help="bundled, a local folder in Hugging Face format, or a Hub name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a recipe that is there.")] = False,
    debug: Debug = False,
) -> None:
    """Write a recipe for your own questions, with a comment at every setting. What you do not say is guessed from the file."""
    given = {"question": question, "answer": answer, "solution": solution, "options": options, "kind": kind, "model": model}
    guard(lambda: _init(folder, data, given, force=force), debug)


def _recipes() -> None:
    from aftune.cli.recipe_list import print_recipes
    from aftune.common.progress import console
    from aftune.recipe import shipped_recipes

    print_recipes(shipped_recipes(), console)


def _init(folder: Path, data: Path | None, given: dict[str, str | None], *, force: bool) -> None:
    from aftune.cli import begin_views
    from aftune.common.progress import console
    from aftune.pipeline.begin.look import columns_of, data_files
    from aftune.pipeline.begin.write import BUNDLED, begin, check_new

    asks = data is None
    if data is None:
        data = begin_views.ask_file(data_files(folder))
    check_new(folder, data, force=force)
    guessed = columns_of(data, given)
    begin_views.print_columns(guessed, console)
    while asks and not begin_views.ask_whether_right():
        guessed = columns_of(data, begin_views.ask_columns(guessed))
        begin_views.print_columns(guessed, console)
    model = given["model"] or (begin_views.ask_model() if asks else BUNDLED)
    begin_views.print_begun(begin(folder, data, guessed.columns, model, force=force), console)
