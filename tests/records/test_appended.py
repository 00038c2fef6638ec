"""Files that grow: what a kill or a damaged disk leaves is cut off or found, whatever byte it stops at."""

from pathlib import Path

import pytest

from aftune.common.errors import DataError
from aftune.records import Candidate, read_records
from aftune.records.appended import append_records, check_appended, forget_checksums, take_as_it_is

CANDIDATES = [Candidate(problem_id="a", index=n, text=f"line\n{n}\u2028") for n in range(5)]


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """Batches of two, one and two candidates, and one of none."""
    path = tmp_path / "c.jsonl"
    for batch in (CANDIDATES[:2], CANDIDATES[2:3], [], CANDIDATES[3:]):
        append_records(path, batch)
    return path


def test_batches_follow_each_other(grown: Path) -> None:
    check_appended(grown)
    assert read_records(grown, Candidate) == CANDIDATES


def test_killed_at_any_byte_whole_batches_are_left(grown: Path) -> None:
    """A batch that is half written goes; its checksum, which is written first, goes with it, and the next one fits again."""
    content = grown.read_bytes()
    checksums = grown.with_name("c.jsonl.checksums")
    sums = checksums.read_bytes()
    ends = [int(line.split()[0]) for line in sums.splitlines()]
    assert ends[-1] == len(content)
    for size in range(len(content) + 1):
        grown.write_bytes(content[:size])
        checksums.write_bytes(sums)
        check_appended(grown)
        whole = max([0, *(end for end in ends if end <= size)])
        assert grown.read_bytes() == content[:whole]
        append_records(grown, CANDIDATES[:1])
        check_appended(grown)
        assert len(grown.read_bytes().splitlines()) == len(content[:whole].splitlines()) + 1


def test_a_checksum_that_is_half_written_takes_its_batch_with_it(grown: Path) -> None:
    """Killed before the batch itself was begun."""
    checksums = grown.with_name("c.jsonl.checksums")
    before = grown.read_bytes()
    with open(checksums, "ab") as file:
        file.write(b"123")
    check_appended(grown)
    assert grown.read_bytes() == before
    assert checksums.read_bytes().endswith(b"\n")


def test_any_changed_byte_is_found(grown: Path) -> None:
    content = grown.read_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1
        if damaged[-1:] != b"\n":
            continue  # that is a half-written line
        grown.write_bytes(damaged)
        with pytest.raises(DataError, match=r"c\.jsonl: bytes \d+ to \d+ are not what was written"):
            check_appended(grown)


def test_a_file_without_checksums_is_taken_as_it_is(grown: Path) -> None:
    """As of an earlier aftune, or one that is complete; `take_as_it_is` begins new ones."""
    forget_checksums(grown)
    grown.write_bytes(grown.read_bytes() + b'{"half')
    check_appended(grown)
    assert read_records(grown, Candidate) == CANDIDATES
    take_as_it_is(grown)
    append_records(grown, CANDIDATES[:1])
    check_appended(grown)
    assert len(read_records(grown, Candidate)) == 6


def test_checksums_that_are_none(grown: Path) -> None:
    grown.with_name("c.jsonl.checksums").write_text("12 zz\n")
    with pytest.raises(DataError, match=r"c\.jsonl\.checksums: b'12 zz' is not a line of checksums, .*; restore it; or "):
        check_appended(grown)


@pytest.mark.parametrize("damage", ["emptied", "last line gone", "swapped", "repeated", "end", "checksum", "long"])
def test_damaged_checksums_take_no_batches_with_them(grown: Path, damage: str) -> None:
    """All of them are on disk before their batches are: what they do not tell of was not half written, they were changed."""
    checksums, content = grown.with_name("c.jsonl.checksums"), grown.read_bytes()
    lines = checksums.read_bytes().splitlines(keepends=True)
    damaged = {
        "emptied": [],
        "last line gone": lines[:-1],
        "swapped": [lines[1], lines[0], lines[2]],
        "repeated": [*lines, lines[-1]],
        "end": [b"9" + lines[0]],
        "checksum": [*lines[:2], lines[2].replace(b" ", b" f")],
        "long": [b"x" * 5000 + lines[0], *lines[1:]],
    }[damage]
    checksums.write_bytes(b"".join(damaged))
    with pytest.raises(DataError, match=r"c\.jsonl\.checksums: .*so the disk or another program has changed one of them") as caught:
        check_appended(grown)
    assert grown.read_bytes() == content
    assert len(str(caught.value)) < 500
    checksums.unlink()
    check_appended(grown)
    assert read_records(grown, Candidate) == CANDIDATES


def test_checksums_of_an_earlier_aftune(grown: Path) -> None:
    """Their lines had two parts."""
    checksums = grown.with_name("c.jsonl.checksums")
    lines = [line.rpartition(b" ")[0] for line in checksums.read_bytes().splitlines()]
    checksums.write_bytes(b"".join(line + b"\n" for line in lines))
    check_appended(grown)
    assert read_records(grown, Candidate) == CANDIDATES
    assert all(len(line.split()) == 3 for line in checksums.read_bytes().splitlines())
