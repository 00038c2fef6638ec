"""The files of a comparison's results."""

import csv
from pathlib import Path

import pytest

import made_up_comparison as made_up
from aftune.pipeline.compare.results import write_table


@pytest.mark.parametrize("text", ['=HYPERLINK("http://a.example")', "+1", "-1", "@SUM(1)", "\t=1", "\n=1"])
def test_no_cell_of_the_table_is_a_formula(text: str, tmp_path: Path) -> None:
    """A text gets an apostrophe, a number keeps its sign, and other ends of lines stay within their cell."""
    results = made_up.results([made_up.method("vft", metrics={"accuracy": [0.5]})])
    results["runs"][0] |= {"folder": text, text: "a\u2028b\x85c\r=1", "score": -0.25, "unknown": None}
    write_table(tmp_path / "compare.csv", results["runs"])
    with open(tmp_path / "compare.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {
        "method": "vft",
        "seed": "0",
        "num_problems": "500",
        "accuracy": "0.5",
        "folder": f"'{text}",
        f"'{text}": "a\u2028b\x85c\n=1",
        "score": "-0.25",
        "unknown": "",
    }
