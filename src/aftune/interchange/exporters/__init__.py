"""Groups and verdicts in the formats of other programs. Adding a format means adding a file and a line in `export_groups`."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, get_args

from aftune.common.errors import UsageError
from aftune.prompts.formats import Messages
from aftune.records import Group, Problem

Target = Literal["preference-pairs", "dataset", "samples"]
TARGETS: tuple[Target, ...] = get_args(Target)

# How a problem is asked: a text, or a conversation.
Ask = Callable[[Problem], str | Messages]


def export_groups(
    target: str, groups: Iterable[Group], ask: Ask, out: Path, *, pairs: str = "all", use_ranks: bool = False
) -> dict[str, int]:
    """Writes groups as `preference-pairs` or as a `dataset` and gives the counts; raises UsageError for another target."""
    from aftune.interchange.exporters import dataset, preference_pairs

    if target == "preference-pairs":
        return preference_pairs.write(out, groups, ask, pairs=pairs, use_ranks=use_ranks)
    if target == "dataset":
        return dataset.write(out, groups, ask)
    raise UsageError(f"--to is {target!r}, expected preference-pairs or dataset for groups, samples for a run directory")


def as_rows(values: Iterable[dict[str, Any]]) -> Iterable[str]:
    """The lines of a JSON Lines file."""
    return (json.dumps(value, ensure_ascii=False) for value in values)
