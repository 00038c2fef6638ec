"""Groups as preference pairs: JSON Lines with `prompt`, `chosen` and `rejected`, as TRL's trainers and others read them.

Where the prompt is a text, the responses are texts (TRL's standard format); where it is a conversation, each is a message of
the assistant (its conversational format).
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aftune.common.errors import DataError, UsageError
from aftune.common.text_files import write_lines
from aftune.interchange.exporters import Ask, as_rows
from aftune.records import Group


def write(path: Path, groups: Iterable[Group], ask: Ask, *, pairs: str = "all", use_ranks: bool = False) -> dict[str, int]:
    """Writes a line for each pair; counts groups, pairs and groups without any. Raises DataError where no group has a pair."""
    counts: Counter[str] = Counter(groups=0, pairs=0, groups_without_pairs=0)

    def rows() -> Iterator[dict[str, Any]]:
        for group in groups:
            made = list(pairs_of(group, ask, pairs=pairs, use_ranks=use_ranks))
            counts.update(groups=1, pairs=len(made), groups_without_pairs=not made)
            yield from made
        if not counts["pairs"]:
            raise DataError(
                f"no group ({counts['groups']:,} in all) has both a better and a worse candidate; there is nothing to export"
            )

    write_lines(path, as_rows(rows()))
    return dict(counts)


def pairs_of(group: Group, ask: Ask, *, pairs: str = "all", use_ranks: bool = False) -> Iterator[dict[str, Any]]:
    """With `all`, every better candidate with every worse one; with `one`, the first of the best with the first of the worst.

    Raises UsageError for other `pairs`, DataError where ranks are wanted and missing.
    """
    if pairs not in ("all", "one"):
        raise UsageError(f"--pairs is {pairs!r}, expected all or one")
    values = group.ranks if use_ranks else group.qualities
    places = range(len(values))
    ordered = [(better, worse) for better in places for worse in places if values[better] > values[worse]]
    if pairs == "one" and ordered:
        ordered = [(values.index(max(values)), values.index(min(values)))]
    prompt = ask(group.problem) if ordered else ""
    for better, worse in ordered:
        chosen, rejected = (group.candidates[place].text for place in (better, worse))
        if not isinstance(prompt, str):
            yield {"prompt": prompt, "chosen": _message(chosen), "rejected": _message(rejected)}
        else:
            yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def _message(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
