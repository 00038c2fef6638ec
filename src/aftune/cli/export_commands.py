"""`aftune export`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aftune.cli.shared import Debug, guard


def export(
    source: Annotated[Path, typer.Argument(metavar="GROUPS_OR_RUN", help="A groups.jsonl, or a run directory.")],
    to: Annotated[str, typer.Option("--to", help="preference-pairs, dataset or samples.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write; for dataset, a new folder.")],
    pairs: Annotated[str, typer.Option(help="Pairs per group: all, or one (a best and a worst candidate).")] = "all",
    ranks: Annotated[bool, typer.Option("--ranks", help="Compare candidates by rank.")] = False,
    model: Annotated[str, typer.Option(help="For samples: base, vft, vft_same_steps (or _compute), or aligned.")] = "aligned",
    form: Annotated[str, typer.Option("--from", help="Format of the file: groups, or voted_explanations.")] = "groups",
    debug: Debug = False,
) -> None:
    """Write groups as preference pairs or as a dataset, or the verdicts on a model's responses as evaluation samples."""
    guard(lambda: _export(source, to, out, pairs=pairs, ranks=ranks, model=model, form=form), debug)


def _export(source: Path, to: str, out: Path, **options: Any) -> None:
    from aftune.common.progress import console
    from aftune.pipeline.export import export as write

    counts = write(source, to, out, **options)
    console.print(f"{out}: " + ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in counts.items()), soft_wrap=True)
