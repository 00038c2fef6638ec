"""Small inputs that were once judged wrong, kept beside the data folder: kind, reading, form, text, gold, options, right."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from aftune.answers import ChoiceKind, MathKind, NumberKind, TextKind, judge

CASES = Path(os.environ.get("AFT_DATA_DIR", "data")).parent / "cases" / "verdicts.jsonl"
KINDS: dict[str, Any] = {"number": NumberKind, "choice": ChoiceKind, "math": MathKind, "text": TextKind}
ROWS = [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()] if CASES.is_file() else []


def test_the_cases_are_there() -> None:
    if not ROWS:
        pytest.skip(f"no {CASES.name} beside the data folder (AFT_DATA_DIR)")
    assert {row["kind"] for row in ROWS} == set(KINDS)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['note']}-{number}" for number, row in enumerate(ROWS)])
def test_verdict(row: dict[str, Any]) -> None:
    if row["kind"] == "math":
        pytest.importorskip("math_verify", reason="math-verify is not installed: pip install 'aftune[math]'")
    kind = KINDS[row["kind"]](**({"form": row["form"]} if row["form"] else {}))
    assert judge(kind, row["text"], row["gold"], row["reading"], row["options"]).reason == row["right"]
