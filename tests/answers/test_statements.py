"""Markers of a statement are found where the pattern finds them, though it is tried only where one can begin."""

import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftune.answers import statements
from aftune.answers.statements import any_format

PIECES = (
    *(
        "####",
        "#",
        "answer",
        "Answers",
        "ANS",
        "ans",
        "final ",
        "final_",
        "\\",
        "begin",
        "boxed",
        "fbox",
        "{7}",
        "<",
        ">",
        "</answer>",
    ),
    *('"', "'", "abcdefghijklm", "b_", ":", "=", " is ", "->", "**", "__", "`", "\n", " ", "\t", "A:", "*A*:", "> a :", "> _A_:"),
    *("answer to the question", "(in dollars)", ", as", "5", "x", "É", "İ", "ſ", "K"),
)
ALL = frozenset(statements._MARKERS)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES), max_size=14), st.sets(st.sampled_from(sorted(ALL)), min_size=1))
def test_places_are_those_of_a_whole_search(pieces: list[str], kinds: set[str]) -> None:
    check("".join(pieces), frozenset(kinds))


@pytest.mark.parametrize(
    "text",
    [
        '\\\\\\"final answer\\\\": 7',  # more backslashes than a marker takes
        '"x "final_answer": 7',  # what begins before it is no marker
        "the answer <answer>7</answer> answer: 8",  # one within another
        "\\beginboxed{7} boxed{8} \\fbox{9}",
        "A: 7\n> *A*: 8\nA : 9",
        "İ answer: 7",  # two characters in lower case: places are not the same
        "#" * 50 + " 7 #### 8",
    ],
)
def test_places_by_hand(text: str) -> None:
    assert list(spans(text, ALL)), text
    check(text, ALL)


@pytest.mark.skipif("AFT_DATA_DIR" not in os.environ, reason="AFT_DATA_DIR is not set: no real responses")
def test_places_in_real_responses() -> None:
    folder = Path(os.environ["AFT_DATA_DIR"]) / "candidates" / "zeroeval_gsm"
    rows = [row for path in sorted(folder.glob("*.json.gz")) for row in json.loads(gzip.decompress(path.read_bytes()))]
    assert len(rows) == 4 * 1319
    for row in rows[::4]:
        check(row["output"][0], ALL)


def test_a_run_of_signs_is_one_marker() -> None:
    assert [statement.text for statement in any_format("#" * 99_990 + " 7", line_marker=True)] == ["7"]


def check(text: str, kinds: frozenset[str]) -> None:
    whole = [(match.span(), match.lastgroup) for match in statements._pattern(kinds).finditer(text)]
    assert spans(text, kinds) == whole


def spans(text: str, kinds: frozenset[str]) -> list[tuple[tuple[int, int], str | None]]:
    return [(match.span(), match.lastgroup) for match in statements._markers(text, text.lower(), kinds)]
