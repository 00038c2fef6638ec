"""A small made-up run with everything that a report can show."""

from pathlib import Path
from typing import Any

import pytest

from aftune.recipe import AlignSection, Recipe
from aftune.records import Candidate, Feedback, Group, GroupScores, JudgedResponse, Problem
from aftune.reporting import ReportData, render_page

# One row a group: (quality, score before, score after) of each candidate.
GROUPS: list[list[tuple[float, float, float]]] = [
    [(1.0, -0.0312, -0.0287), (0.0, -0.0201, -0.0954), (0.0, -0.0650, -0.1203)],
    [(1.0, -0.0411, -0.0399), (1.0, -0.0222, -0.0211)],
    [(0.0, -0.0555, -0.0789), (0.0, -0.0333, -0.0666)],
    [],
    [(0.0, -0.0123, -0.0456), (1.0, -0.0234, -0.0177)],
]


def make_group(place: int, rows: list[tuple[float, float, float]]) -> Group:
    problem = Problem(
        id=f"test/{place}",
        task="arithmetic",
        question=f"Question number {place}?",
        gold_answer=str(100 + place),
        rationale=f"Reference number {place}\n#### {100 + place}",
        metadata={"num_operations": 3 + place % 2},
    )
    return Group(
        problem=problem,
        candidates=[Candidate(problem_id=problem.id, index=i, text=f"Candidate {place}.{i}\n  indented") for i in range(len(rows))],
        feedback=[
            Feedback(answer=str(100 + place + i), quality=quality, reason="matched" if quality else "different")
            for i, (quality, _, _) in enumerate(rows)
        ],
    )


def make_scores(place: int, scores: list[float]) -> GroupScores:
    return GroupScores(problem_id=f"test/{place}", scores=scores)


# One row a model: whether its greedy answer to each question is right.
RIGHT = {
    "base": [False, False, False, False, False],
    "vft": [True, False, True, False, False],
    "vft_same_steps": [True, False, False, False, False],
    "aligned": [True, True, False, False, False],
}


def make_verdicts(right: list[bool]) -> list[JudgedResponse]:
    """The last answer is cut off."""
    return [
        JudgedResponse(
            problem_id=f"test/{place}",
            text=f"Greedy {place}",
            answer=str(100 + place) if one else None,
            right=one,
            reason="matched" if one else "no answer",
            finish_reason="length" if place == len(right) - 1 else "stop",
        )
        for place, one in enumerate(right)
    ]


def make_result(accuracy: float, assessment: float | None) -> dict[str, Any]:
    return {
        "accuracy": accuracy,
        "accuracy_ci95": [accuracy - 0.04, accuracy + 0.04],
        "num_problems": 600,
        "reasons": {},
        "num_truncated": 7,
        "accuracy_by_num_operations": {"3": accuracy + 0.1, "10": accuracy - 0.1},
        "assessment_accuracy": assessment,
        "assessment_accuracy_ci95": None if assessment is None else [assessment - 0.02, assessment + 0.02],
        "num_assessed_problems": 0 if assessment is None else 412,
        "score_right": None if assessment is None else -0.0313,
        "score_wrong": None if assessment is None else -0.0567,
    }


def make_metrics() -> dict[str, Any]:
    return {
        "seed": 3,
        "task": "arithmetic",
        "results": {
            "base": make_result(0.182, 0.612),
            "vft": make_result(0.553, 0.681),
            "vft_same_steps": make_result(0.561, 0.672),
            "aligned": make_result(0.603, 0.842),
        },
        "comparisons": {
            "aligned_vs_base": {"difference": 0.421, "ci95": [0.38, 0.462], "p_value": 1e-30},
            "aligned_vs_vft": {"difference": 0.05, "ci95": [0.018, 0.082], "p_value": 0.0031},
            "aligned_vs_vft_same_steps": {"difference": 0.021, "ci95": [-0.008, 0.05], "p_value": 0.18},
        },
    }


def make_stages() -> dict[str, dict[str, Any]]:
    summaries: dict[str, dict[str, Any]] = {
        "prepare": {"train": 1000, "validation": 300, "test": 600, "left_out": 1},
        "sft": {"optimizer_steps": 1234, "epochs": 3.0, "validation_accuracy": 0.5, "best_epoch": 2},
        "sample": {"candidates": 8000},
        "label": {"candidates": 100, "right": 41, "wrong": 29, "duplicate": 30, "groups_mixed": 17, "groups_all_right": 3},
        "align": {"optimizer_steps": 189, "epochs": 3.0},
        "control": {"optimizer_steps": 189, "epochs": 3.0},
        "evaluate": {},
    }
    return {
        name: {"status": "finished", "seconds": 10.0 + place, "finished": f"2026-01-02T03:04:0{place}+0000", "summary": summary}
        for place, (name, summary) in enumerate(summaries.items())
    }


def make_logs() -> dict[str, list[dict[str, float]]]:
    steps = range(1, 41)
    return {
        "sft": [
            *({"loss": 2 / step, "sft_loss": 2 / step, "step": step} for step in steps),
            *({"eval_accuracy": accuracy, "step": step} for accuracy, step in ((0.3, 10), (0.5, 20), (0.4, 30))),
            {"train_loss": 1.0, "step": 40},
        ],
        "align": [
            {
                "sft_loss": 0.03,
                "alignment_loss": 2 - step / 40,
                "score_better": -0.04 + step / 4000,
                "score_worse": -0.05 - step / 500,
                "pairs_in_order": 0.6 + step / 200,
                "below_boundary": step / 200,
                "step": step,
            }
            for step in steps
        ],
        "control": [{"loss": 0.02, "sft_loss": 0.02, "step": step} for step in steps],
    }


@pytest.fixture(scope="session")
def data() -> ReportData:
    return ReportData(
        recipe=Recipe(run_dir=Path("runs/made-up"), seed=3, align=AlignSection(beta=0.15)),
        stages=make_stages(),
        metrics=make_metrics(),
        versions={"aftune": "0.1.0", "torch": "9.8.7"},
        machine={"cpus": 2, "python": "3.11.7", "platform": "Linux"},
        left_out=[{"split": "train", "id": "train/5", "reason": "train/5: the same question is in test"}],
        logs=make_logs(),
        groups=[make_group(place, rows) for place, rows in enumerate(GROUPS)],
        scores={
            "vft": [make_scores(place, [before for _, before, _ in rows]) for place, rows in enumerate(GROUPS)],
            "aligned": [make_scores(place, [after for _, _, after in rows]) for place, rows in enumerate(GROUPS)],
        },
        verdicts={name: make_verdicts(right) for name, right in RIGHT.items()},
        model_folder="runs/made-up/align/model",
    )


@pytest.fixture(scope="session")
def page(data: ReportData) -> str:
    """The page of the made-up run as it is: drawing takes a second."""
    return render_page(data)
