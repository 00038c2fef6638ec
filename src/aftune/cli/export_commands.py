"""`aftune export` and `aftune push`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from aftune.cli.shared import Debug, guard


def export(
    source: Annotated[Path, typer.Argument(metavar="GROUPS_OR_RUN", help="A groups.jsonl, or a run directory.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Of groups: preference-pairs, dataset; of a run: these, samples, merged (a whole model), adapter, gguf, ollama.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The file to write; for dataset, merged, adapter and ollama, a new folder.")],
    pairs: Annotated[str, typer.Option(help="Pairs per group: all, or one (a best and a worst candidate).")] = "all",
    ranks: Annotated[bool, typer.Option("--ranks", help="Compare candidates by rank.")] = False,
    model: Annotated[
        str, typer.Option(help="For samples and models: base (samples), vft, vft_same_steps (or _compute), or aligned.")
    ] = "aligned",
    form: Annotated[str, typer.Option("--from", help="Format of the file: groups, or voted_explanations.")] = "groups",
    debug: Debug = False,
) -> None:
    """Write groups as preference pairs or as a dataset, the verdicts on a model's responses as evaluation samples, or a model with
    its card. To the Hugging Face Hub: aftune push."""
    guard(lambda: _export(source, to, out, pairs=pairs, ranks=ranks, model=model, form=form), debug)


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    repository: Annotated[str, typer.Argument(metavar="REPOSITORY", help="OWNER/NAME on the Hugging Face Hub.")],
    to: Annotated[str, typer.Option("--to", help="merged (a plain model), or adapter.")] = "merged",
    model: Annotated[str, typer.Option(help="vft, vft_same_steps (or _compute), or aligned.")] = "aligned",
    private: Annotated[
        bool, typer.Option("--private", help="Only to a private repository; it is made if it is not there.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Push a model of a run to the Hugging Face Hub, with its card."""
    guard(lambda: _push(run, repository, form=to, model=model, private=private), debug)


def _export(source: Path, to: str, out: Path, **options: Any) -> None:
    from aftune.common.progress import console
    from aftune.pipeline.export import export as write

    counts = write(source, to, out, **options)
    console.print(f"{out}: " + ", ".join(f"{key.replace('_', ' ')} {value:,}" for key, value in counts.items()), soft_wrap=True)


def _push(run: Path, repository: str, **options: Any) -> None:
    from aftune.common.progress import console
    from aftune.pipeline.push import push as send

    console.print(send(run, repository, **options), soft_wrap=True)
