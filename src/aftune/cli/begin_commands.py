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
    place: Annotated[
        Path,
        typer.Argument(
            metavar="[FILE|FOLDER]",
            help="The file of questions (JSON Lines, JSON, CSV, TSV). Of a folder, aftune asks which file, and for all the rest.",
        ),
    ] = Path("."),
    folder: Annotated[Path | None, typer.Option(help="Where the recipe goes, if not into the current folder.")] = None,
    question: Annotated[_Column, typer.Option(metavar="COLUMN", help="The column of the questions.")] = None,
    answer: Annotated[_Column, typer.Option(metavar="COLUMN", help="That of the right answers.")] = None,
    rationale: Annotated[
        _Column, typer.Option(metavar="COLUMN", help="That of the worked solutions; the same as --answer if these state it.")
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
    given = {"question": question, "answer": answer, "rationale": rationale, "options": options, "kind": kind, "model": model}
    guard(lambda: _init(place, folder, given, force=force), debug)


def _recipes() -> None:
    from aftune.cli.recipe_list import print_recipes
    from aftune.common.progress import console
    from aftune.recipe import shipped_recipes

    print_recipes(shipped_recipes(), console)


def _init(place: Path, folder: Path | None, given: dict[str, str | None], *, force: bool) -> None:
    from aftune.cli import begin_views
    from aftune.common.progress import console, waiting
    from aftune.pipeline.begin.file import check_new, columns_of, data_files, names_file
    from aftune.recipe import BUNDLED

    asks = not names_file(place)
    data = begin_views.ask_file(data_files(place)) if asks else place
    folder = folder or (place if asks else Path("."))
    guessed = columns_of(data, given)
    check_new(folder, data, force=force)
    begin_views.print_columns(guessed, console)
    while asks and not begin_views.ask_whether_right():
        guessed = columns_of(data, begin_views.ask_columns(guessed))
        begin_views.print_columns(guessed, console)
    model = given["model"] or (begin_views.ask_model() if asks else BUNDLED)
    with waiting("reading the file"):
        from aftune.pipeline.begin.write import begin

        begun = begin(folder, data, guessed.columns, model, force=force)
    begin_views.print_begun(begun, console)
