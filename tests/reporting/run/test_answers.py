"""What the page's script is given to show: every held-out question with the answers of all models."""

import base64
import gzip
import json
import random
from dataclasses import replace
from typing import Any

from aftune.records import Candidate, Feedback, Group, GroupScores, JudgedResponse, Problem
from aftune.reporting import ReportData, render_page
from aftune.reporting.run.answers import answers


def content(data: ReportData) -> Any:
    found = answers(data)
    assert found is not None
    return json.loads(gzip.decompress(base64.b64decode(found.data)))


def test_every_question_has_the_answers_of_all_models(data: ReportData) -> None:
    found = content(data)
    assert [model["label"] for model in found["models"]] == ["base", "VFT", "VFT, same steps", "AFT-BC"]
    assert [problem["id"] for problem in found["problems"]] == [f"test/{place}" for place in range(5)]
    second = found["problems"][1]
    assert (second["question"], second["gold"], second["reference"]) == (
        "Question number 1?",
        "101",
        "Reference number 1\n#### 101",
    )
    assert [answer["right"] for answer in second["answers"]] == [False, False, False, True]
    assert second["answers"][3] == {"text": "Greedy 1", "right": True, "answer": "101", "reason": "matched", "cutOff": False}


def test_kinds_of_questions(data: ReportData) -> None:
    """By the conftest's table RIGHT: question 1 is right only after alignment, 2 only before, 3 and 4 never, and 4 is cut off."""
    found = answers(data)
    assert found is not None
    assert [(one.key, one.label, one.count) for one in found.filters] == [
        ("gained", "VFT wrong, then right", 1),
        ("lost", "VFT right, then wrong", 1),
        ("all_wrong", "wrong in all models", 2),
        ("cut_off", "cut off", 1),
    ]
    kinds = [problem["kinds"] for problem in content(data)["problems"]]
    assert kinds == [[], ["gained"], ["lost"], ["all_wrong"], ["all_wrong", "cut_off"]]


def test_score_gaps(data: ReportData) -> None:
    """Group 0 before: -0.0312 - (-0.0201 - 0.0650) / 2 = 0.01135; after: -0.0287 - (-0.0954 - 0.1203) / 2 = 0.07915. Only groups
    with right and wrong candidates have one."""
    gaps = [problem["gap"] for problem in content(data)["problems"]]
    assert gaps[1:4] == [None, None, None]
    assert abs(gaps[0][0] - 0.01135) < 6e-5
    assert abs(gaps[0][1] - 0.07915) < 6e-5
    assert gaps[4] == [-0.0111, 0.0279]


def test_as_many_as_the_recipe_says(data: ReportData) -> None:
    section = data.recipe.report.model_copy(update={"num_answers": 2})
    few = replace(data, recipe=data.recipe.model_copy(update={"report": section}))
    assert [problem["id"] for problem in content(few)["problems"]] == ["test/0", "test/1"]
    assert "Greedy answers to the first 2 of 5 test problems" in render_page(few)


def test_without_greedy_answers_the_page_says_so(data: ReportData) -> None:
    none = replace(data, verdicts={})
    assert answers(none) is None
    assert "There are no greedy answers to show." in render_page(none)


def test_a_page_of_a_thousand_long_questions_stays_below_two_megabytes(data: ReportData) -> None:
    """Questions of 240 characters and answers of 330, as GSM8K has them, of words drawn at random from 2,000."""
    choose = random.Random(0)
    words = ["".join(choose.choices("aeinorst", k=choose.randint(2, 8))) for _ in range(2000)]

    def text(length: int) -> str:
        return " ".join(choose.choices(words, k=length // 6))

    groups = [
        Group(
            problem=Problem(id=f"p{place}", task="t", question=text(240), gold_answer="1", rationale=text(330)),
            candidates=[Candidate(problem_id=f"p{place}", index=index, text=text(330)) for index in range(2)],
            feedback=[Feedback(quality=quality, reason="r", answer="1") for quality in (1.0, 0.0)],
        )
        for place in range(1000)
    ]
    scores = [GroupScores(problem_id=group.problem.id, scores=[-0.1, -0.2]) for group in groups]
    verdicts = {
        name: [
            JudgedResponse(
                problem_id=group.problem.id, text=text(330), answer="1", right=True, reason="matched", finish_reason="stop"
            )
            for group in groups
        ]
        for name in data.metrics["results"]
    }
    many = replace(data, groups=groups, scores={"vft": scores, "aligned": scores}, verdicts=verdicts)
    assert len(render_page(many).encode()) < 2_000_000
