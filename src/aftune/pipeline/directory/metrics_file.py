"""Reads files of metrics, also those that an older aftune wrote."""

from pathlib import Path
from typing import Any

from aftune.common.json_text import read_json

# Names up to version 0.1.0, and today's.
_RENAMED = {"score_positive": "score_right", "score_negative": "score_wrong"}


def read_metrics(path: Path) -> dict[str, Any]:
    """The metrics in a file, under today's names; raises DataError for a file that is not JSON."""
    metrics: dict[str, Any] = read_json(path, object_hook=_renamed)
    return metrics


def _renamed(values: dict[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in values.items()}
