"""Tables of what labelling kept and left out."""

import pytest

from aftune.reporting.run.label_tables import labelling_tables

SUMMARY = {"candidates": 100, "right": 41, "wrong": 29, "truncated": 10, "duplicate": 20, "groups_mixed": 6, "groups_all_wrong": 2}


def test_rows_account_for_every_candidate_and_group() -> None:
    tables = labelling_tables(SUMMARY)
    assert tables is not None
    assert {row.name: row.count for row in tables.candidates} == {
        "Right": "41",
        "Wrong": "29",
        "No answer": "0",
        "Duplicate": "20",
        "Ambiguous": "0",
        "Truncated": "10",
    }
    assert sum(row.share for row in tables.candidates) == pytest.approx(1)
    assert {row.name: row.share for row in tables.groups} == {"Mixed": 0.75, "All right": 0.0, "All wrong": 0.25}
    assert (tables.total_candidates, tables.total_groups, tables.published) == ("100", "8", None)


def test_rare_kinds_and_published_verdicts_show_when_they_happen() -> None:
    tables = labelling_tables(
        {
            **SUMMARY,
            "contradiction": 3,
            "too_long": 4,
            "timed_out": 5,
            "right_strict": 41,
            "right_flexible": 1044,
            "readings_differ": 1003,
            "empty": 1,
            "unknown_problem": 2,
            "groups_empty": 3,
            "published_verdicts": 5276,
            "published_agree": 5275,
        }
    )
    assert tables is not None
    assert {"Contradiction", "Timed out", "Too long", "Empty", "Unknown problem"} <= {row.name for row in tables.candidates}
    assert tables.readings is not None
    assert tables.readings.endswith("the strict reading finds 41 right and the flexible one 1,044; they differ on 1,003.")
    alike = labelling_tables({"right": 2, "right_strict": 2, "right_flexible": 2, "readings_differ": 0})
    assert alike is not None
    assert alike.readings is not None
    assert alike.readings.endswith("the strict reading finds 2 right; the flexible one finds the same.")
    assert "Empty" in {row.name for row in tables.groups}
    assert tables.published == "Published verdicts that agree with ours: 5,275 of 5,276."


def test_no_summary_no_table() -> None:
    assert labelling_tables({}) is None


def test_no_candidates_divide_nothing() -> None:
    tables = labelling_tables({"candidates": 0})
    assert tables is not None
    assert [row.share for row in tables.candidates] == [0.0] * 6


def test_ranking_is_told_where_the_task_knows_one() -> None:
    for summary, expected in (
        (SUMMARY, None),
        ({**SUMMARY, "groups_with_rank_pairs": 0}, "Groups with better and worse candidates by rank: 0 of 8."),
        ({**SUMMARY, "groups_with_rank_pairs": 7}, "Groups with better and worse candidates by rank: 7 of 8."),
    ):
        tables = labelling_tables(summary)
        assert tables is not None
        assert tables.ranked == expected


def test_what_came_from_where() -> None:
    """Of 70 kept, 41 right: 30 (20 right) of a source and 10 (9 right) of another leave 30 (12 right) of the trained model."""
    of_sources = {"from_large": 30, "right_from_large": 20, "from_hosted": 10, "right_from_hosted": 9}
    tables = labelling_tables(SUMMARY | of_sources)
    assert tables is not None
    assert [(row.name, row.count, row.share, row.meaning) for row in tables.sources] == [
        ("The trained model", "30", 30 / 70, "12 of them right"),
        ("large", "30", 30 / 70, "20 of them right"),
        ("hosted", "10", 10 / 70, "9 of them right"),
    ]
    alone = labelling_tables(SUMMARY)
    assert alone is not None
    assert alone.sources == []
