"""A small share of the fuzzing, with the same cases every time; and that its checks find what they are for."""

import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune.common import text_files
from aftune.common.data_files import scan_rows
from aftune.common.errors import DataError, UsageError

CASES = {
    "records": 150,
    "growing files": 30,
    "data files": 200,
    "tasks": 100,
    "recipes": 50,
    "importers": 200,
    "voted explanations": 100,
    "model folders": 14,
    "server answers": 6,
}


def _program() -> Any:
    spec = importlib.util.spec_from_file_location("fuzzing", Path(__file__).with_name("fuzzing.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


fuzzing = _program()


@pytest.fixture(scope="module", autouse=True)
def _without_the_model() -> Iterator[None]:
    yield
    fuzzing.forget_seeds()


@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_no_faults(kind: str, tmp_path: Path) -> None:
    if kind == "server answers":
        pytest.importorskip("openai", reason="openai is not installed: pip install 'aftune[openai]'")
    outcome = fuzzing.run_kind(kind, CASES[kind], 0, tmp_path)
    assert outcome.faults == []
    assert outcome.accepted
    assert outcome.refused
    assert outcome.accepted + outcome.refused == CASES[kind]


def test_any_bytes_are_rows_or_errors(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"

    @given(st.binary(max_size=60) | st.text('"\n,;{}[]:\t ab1', max_size=60).map(str.encode))
    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            rows = list(scan_rows(path))
        except DataError as error:
            fuzzing.check_message(error, [path.name])
            return
        for place, row in rows:
            assert place.startswith(f"{path}:")
            if isinstance(row, DataError):
                fuzzing.check_message(row, [path.name])

    run()


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (KeyError("x"), "this looks like a bug in aftune"),
        (DataError("f.csv: " + "x" * 2000), "a message of 2,007 characters"),
        (UsageError("this is wrong"), "names no place"),
    ],
)
def test_what_does_not_help_is_a_fault(error: Exception, fault: str) -> None:
    with pytest.raises(fuzzing.FaultError, match=fault):
        fuzzing.check_message(error, ["f.csv"])


def test_what_gets_lost_and_what_hangs_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that skips every second line, and one that never ends."""
    original = text_files.text_lines

    def skipping(path: Path, **options: Any) -> Iterator[tuple[int, int, str]]:
        return (line for line in original(path, **options) if line[0] % 2)

    monkeypatch.setattr("aftune.records.files.text_lines", skipping)
    monkeypatch.setattr("aftune.records.large_files.text_lines", skipping)
    assert any("records: " in fault for fault in fuzzing.run_kind("records", 100, 0, tmp_path).faults)

    def endless(chance: random.Random, folder: Path) -> None:
        while True:
            pass

    monkeypatch.setattr(fuzzing, "PATIENCE", 0.2)
    monkeypatch.setitem(fuzzing.KINDS, "records", (endless, 1.0))
    [fault] = fuzzing.run_kind("records", 1, 0, tmp_path).faults
    assert "no end after 0 s" in fault or "it took" in fault


def test_the_same_seed_gives_the_same_cases(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        fuzzing.run_case("recipes", "recipes 0 7", tmp_path / folder)
    first, second = (tmp_path / folder / "case" / "recipe.yaml" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
