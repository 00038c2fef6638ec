"""`aftune verify`."""

from pathlib import Path
from typing import Annotated

import typer

from aftune.cli.shared import Debug, guard


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory, or that of a comparison.")],
    debug: Debug = False,
) -> None:
    """Check every file of a run against what its stages wrote."""
    guard(lambda: _verify(run), debug)


def _verify(path: Path) -> None:
    from rich.markup import escape

    from aftune.common.errors import DataError
    from aftune.common.progress import console
    from aftune.common.wording import counted
    from aftune.pipeline.verify import verify as inspections

    total = number = 0
    for folder, found in inspections(path):
        files = "an earlier aftune kept no checksums" if found.number is None else counted(found.number, "file")
        state = (
            "[red]differs[/red]"
            if found.differences
            else "[yellow]?[/yellow]"
            if found.number is None
            else "[green]as written[/green]"
        )
        console.print(f"{escape(str(folder)):<40} {state}  {files}", soft_wrap=True)
        for text in found.differences:
            console.print(f"  [red]{escape(text)}[/red]", soft_wrap=True)
        for other in found.others:
            console.print(f"  [dim]{escape(str(other))}: not of this stage[/dim]", soft_wrap=True)
        total += found.number or 0
        number += len(found.differences)
    if number:
        raise DataError(
            f"{path}: {counted(number, 'difference')}; put those files back, or remove the folders of these stages and run again"
        )
    console.print(f"{counted(total, 'file')} as written")
