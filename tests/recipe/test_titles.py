"""What runs and tasks are called."""

import pytest

from aftune.recipe import Recipe


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ({}, "arithmetic"),
        ({"task": {"name": "jsonl"}, "data": "questions/own.csv"}, "own"),
        ({"task": {"name": "jsonl"}, "data": "questions"}, "questions"),
        ({"task": {"name": "gsm8k"}, "data": "questions"}, "gsm8k"),
    ],
)
def test_a_task_that_reads_a_file_is_called_after_it(settings: dict[str, object], title: str) -> None:
    assert Recipe.model_validate({"run_dir": "runs/mine", **settings}).task_title == title
