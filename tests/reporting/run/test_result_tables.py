"""The headline in words."""

from dataclasses import replace
from typing import Any

import pytest

from aftune.reporting import ReportData
from aftune.reporting.run.result_tables import comparisons, lead, operations_table, result_rows, task_tables


def compared(data: ReportData, difference: float, interval: tuple[float, float], p: float) -> tuple[int, str]:
    values: dict[str, Any] = {"difference": difference, "ci95": list(interval), "p_value": p}
    found = comparisons(replace(data, metrics={**data.metrics, "comparisons": {"aligned_vs_vft": values}}))
    return found[0].told, found[0].sentence.replace("\N{NO-BREAK SPACE}", " ")


def test_above(data: ReportData) -> None:
    assert compared(data, 0.042, (0.01, 0.073), 0.012) == (
        1,
        "AFT-BC is 4.2 points above VFT (95 % interval 1.0 to 7.3, p = 0.012).",
    )


def test_below(data: ReportData) -> None:
    told, sentence = compared(data, -0.01, (-0.0199, -0.002), 0.0001)
    assert told == -1
    assert sentence == "AFT-BC is 1.0 point below VFT (95 % interval −2.0 to −0.2, p < 0.001)."


@pytest.mark.parametrize("interval", [(-0.01, 0.03), (0.0, 0.03), (-0.03, 0.0), (0.0, 0.0)])
def test_no_difference_can_be_told_when_zero_is_in_the_interval(data: ReportData, interval: tuple[float, float]) -> None:
    told, sentence = compared(data, 0.011, interval, 0.4)
    assert told == 0
    assert sentence.startswith("The data do not show a difference between AFT-BC and VFT: +1.1 points measured")


def test_a_test_that_disagrees_is_said(data: ReportData) -> None:
    assert "borderline" in compared(data, 0.02, (0.001, 0.04), 0.06)[1]
    assert "borderline" not in compared(data, 0.02, (0.001, 0.04), 0.04)[1]


def test_models_stand_in_the_order_of_training_and_the_closest_rival_first(data: ReportData) -> None:
    assert [row.name.label for row in result_rows(data)] == ["base", "VFT", "VFT, same steps", "AFT-BC"]
    assert [comparison.other.key for comparison in comparisons(data)] == ["vft_same_steps", "vft", "base"]


def test_operations_are_sorted_as_numbers_with_their_problems(data: ReportData) -> None:
    table = operations_table(data)
    assert table is not None
    assert table.columns == ["3 (n = 3)", "10"]  # the made-up groups know no problem of 10 operations
    assert table.rows[-1][1][0].startswith("70.3")


def by_task(result: dict[str, Any], accuracy: float) -> dict[str, Any]:
    return result | {
        "accuracy_by_task": {"a": accuracy, "b": 0.5},
        "num_problems_by_task": {"a": 1200, "b": 30},
        "assessment_accuracy_by_task": {"a": 0.75, "b": None},
        "num_assessed_problems_by_task": {"a": 4, "b": 0},
    }


def test_tables_by_task(data: ReportData) -> None:
    assert task_tables(data) == []
    results = {key: by_task(result, 0.1 * place) for place, (key, result) in enumerate(data.metrics["results"].items())}
    accuracy, assessment = task_tables(replace(data, metrics={**data.metrics, "results": results}))
    assert (accuracy.corner, accuracy.columns) == ("Accuracy", ["a (n = 1,200)", "b (n = 30)"])
    assert [(name.label, [text[:-2] for text in texts]) for name, texts in accuracy.rows][1] == ("VFT", ["10.0", "50.0"])
    assert (assessment.corner, assessment.columns) == ("Assessment accuracy", ["a (n = 4)", "b"])
    assert assessment.rows[0][1] == ["75.0\N{NO-BREAK SPACE}%", "–"]


def told(data: ReportData, control: bool, difference: float, interval: tuple[float, float]) -> list[str]:
    key = "vft_same_steps" if control else "vft"
    values: dict[str, Any] = {"difference": difference, "ci95": list(interval), "p_value": 0.5}
    results = {name: result for name, result in data.metrics["results"].items() if control or name != "vft_same_steps"}
    metrics = {"results": results, "comparisons": {f"aligned_vs_{key}": values}}
    return [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in lead(replace(data, metrics=metrics))]


def test_the_first_sentence_says_whether_it_worked(data: ReportData) -> None:
    """Against the control, which was trained for as long; without one against the model that alignment started from."""
    above, assessed = told(data, True, 0.042, (0.01, 0.073))
    assert above == (
        "Alignment raised accuracy: AFT-BC answers 60.3 % of 600 test problems right, “VFT, same steps” 56.1 %; "
        "+4.2 points (95 % interval 1.0 to 7.3)."
    )
    assert assessed == "Of a right and a wrong answer it gives the right one the higher score in 84.2 % of pairs, before in 68.1 %."
    assert told(data, True, -0.042, (-0.073, -0.01))[0].startswith("Alignment lowered accuracy: AFT-BC")
    assert told(data, True, 0.01, (0.0, 0.03))[0].startswith("Whether alignment changed accuracy cannot be told")
    assert "right, VFT 55.3 %; +4.2 points" in told(data, False, 0.042, (0.01, 0.073))[0]


def test_no_right_answer_says_nothing(data: ReportData) -> None:
    results = {name: {**result, "accuracy": 0.0} for name, result in data.metrics["results"].items()}
    said = lead(replace(data, metrics={**data.metrics, "results": results}))
    assert said[0] == "No model answers a single one of 600 test problems right, so nothing can be said of AFT-BC."


def test_without_the_aligned_model_nothing_is_said(data: ReportData) -> None:
    assert lead(replace(data, metrics={"results": {"vft": data.metrics["results"]["vft"]}})) == []


def test_few_assessed_problems_tell_nothing(data: ReportData) -> None:
    results = {name: {**result, "num_assessed_problems": 1} for name, result in data.metrics["results"].items()}
    said = lead(replace(data, metrics={**data.metrics, "results": results}))
    assert said[1] == "Whether it tells right answers from wrong ones better cannot be told: only 1 test problem has both."
