"""A small share of killing.py."""

import random
from pathlib import Path

import killing


def test_killed_at_random_moments_a_run_ends_as_if_unbroken(tmp_path: Path) -> None:
    kind = "two processes, LoRA"
    killing.unbroken(tmp_path / "unbroken", kind)
    outcome = killing.broken(tmp_path / "run", kind, 2, 4.0, random.Random(5))
    assert outcome.faults == []
    assert list(killing.differences(tmp_path / "run", tmp_path / "unbroken", kind)) == []
    assert (tmp_path / "run" / "report.html").exists()
