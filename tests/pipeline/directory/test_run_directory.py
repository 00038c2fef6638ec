"""Hashes of input files."""

import hashlib
from pathlib import Path

import pytest

from aftune.pipeline.directory import run_directory
from aftune.pipeline.directory.run_directory import hash_file


@pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1, 3 * 2**20 + 5])
def test_every_byte_of_a_file_counts(tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    content = bytes(n % 251 for n in range(997)) * (size // 997 + 1)
    path.write_bytes(content[:size])
    assert hash_file(path) == hashlib.sha256(str(size).encode() + content[:size]).hexdigest()[:16]


def test_size_and_both_ends_of_a_large_file_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory, "_LARGE_FILE", 2**21)
    path = tmp_path / "f"
    hashes = []
    for place in (None, 5, 2**21 + 5, 2**20 + 7):
        content = bytearray(2**21 + 10)
        if place is not None:
            content[place] = 1
        path.write_bytes(content)
        hashes.append(hash_file(path))
    assert len(set(hashes[:3])) == 3
    assert hashes[3] == hashes[0]


def test_of_a_large_file_a_part_of_every_mib_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix in the middle that training changes has more than that; its neighbours stay."""
    monkeypatch.setattr(run_directory, "_LARGE_FILE", 2**21)
    path = tmp_path / "f"
    content = bytearray(8 * 2**20)
    path.write_bytes(content)
    before = hash_file(path)
    for mib in range(8):
        changed = bytearray(content)
        changed[mib * 2**20 : (mib + 1) * 2**20] = b"x" * 2**20
        path.write_bytes(changed)
        assert hash_file(path) != before, mib
