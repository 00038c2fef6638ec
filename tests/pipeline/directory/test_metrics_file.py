"""Metrics that an older aftune wrote."""

import json
from pathlib import Path

from aftune.pipeline.directory.metrics_file import read_metrics


def test_old_names_are_read_as_todays(tmp_path: Path) -> None:
    """At any depth; everything else stays as it is."""
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"results": {"vft": {"score_positive": -0.1, "score_negative": None, "accuracy": 0.5}}, "seed": 0}))
    assert read_metrics(path) == {"results": {"vft": {"score_right": -0.1, "score_wrong": None, "accuracy": 0.5}}, "seed": 0}
