"""The page as a whole: what it shows, that it is one safe file, and that parts may be missing."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from aftune.recipe import Recipe
from aftune.records import Group
from aftune.reporting import LogEntry, ReportData, render_page
from html_page import (
    ATTACK,
    Elements,
    assert_fits_a_phone_and_the_dark,
    assert_loads_nothing,
    assert_no_fixed_colours,
    assert_references_are_whole,
    plots,
)


def without(result: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in keys}


def test_the_page_shows_the_figures_of_the_run(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    for shown in (
        "arithmetic, bundled base model",
        "1,000 train, 300 validation, 600 test",
        "k = 6 a problem, temperature 1",
        "AFT-BC: constraint boundary (BC), beta 0.15 nats per token, weight 1, VFT weight 1; starts from VFT; the reference joins",
        "VFT, same steps: VFT continued for as many optimizer steps as AFT-BC takes (189 optimizer steps)",
        "VFT is the epoch with the best validation accuracy; “same steps” is VFT continued for as many optimizer steps as AFT-BC",
        "AFT-BC against the others, on the same problems",
        "After: AFT-BC",
        "learning rate 2e-05",
        "1,234 optimizer steps; epoch 2 kept",
        "aftune 0.1.0, torch 9.8.7",
        "2026-01-02 03:04",
        "1 min 31 s",  # 10 + 11 + ... + 16 seconds
        "Whether alignment changed accuracy cannot be told from these problems: AFT-BC answers 60.3 % of 600 test problems right, "
        "“VFT, same steps” 56.1 %; +2.1 points (95 % interval −0.8 to 5.0).",
        "the right one the higher score in 84.2 % of pairs, before in 68.1 %.",
        "56.3 to 64.3",
        "82.2 to 86.2",
        "7 of 600",
        "−0.0313",
        "−0.0567",
        "412 problems",
        "100 candidates of 20 training problems",
        "train/5: the same question is in test",
        "The weights of epoch 2 of 3 were kept (50.0 %)",
        "4 of 5 held-out groups",
    ):
        assert shown in elements.text, shown


def test_every_figure_is_there(page: str) -> None:
    results = ["accuracy", "assessment_accuracy", "operations"]
    training = ["sft-loss", "validation", "scores", "shares", "alignment-loss", "vft-loss"]
    assert plots(page) == [*results, "scores-vft", "scores-aligned", *training]


@pytest.mark.parametrize(
    "check", [assert_loads_nothing, assert_references_are_whole, assert_fits_a_phone_and_the_dark, assert_no_fixed_colours]
)
def test_the_page_is_one_safe_file(page: str, check: Callable[[str], None]) -> None:
    check(page)


def test_the_same_data_gives_the_same_bytes(data: ReportData, page: str) -> None:
    assert render_page(data) == page
    lower = [row.model_copy(update={"scores": [score - 0.01 for score in row.scores]}) for row in data.scores["aligned"]]
    scores = {**data.scores, "aligned": lower}
    assert render_page(replace(data, scores=scores)) != page


def test_texts_cannot_become_markup(data: ReportData) -> None:
    group, attack = data.groups[0], ATTACK
    problem = group.problem.model_copy(
        update={"question": attack, "rationale": attack, "gold_answer": attack, "id": attack, "options": [attack]}
    )
    candidates = [candidate.model_copy(update={"text": attack}) for candidate in group.candidates]
    feedback = [item.model_copy(update={"answer": attack, "reason": attack}) for item in group.feedback]
    hostile = replace(
        data,
        groups=[Group(problem=problem, candidates=candidates, feedback=feedback), *data.groups[1:]],
        left_out=[{"split": attack, "id": attack, "reason": attack}],
        recipe=Recipe.model_validate({"run_dir": attack, "model": {"name": attack}, "task": {"name": attack}}),
        versions={attack: attack},
    )
    harmless = group.model_copy(update={"problem": group.problem.model_copy(update={"options": ["x"]})})
    expected = replace(data, groups=[harmless, *data.groups[1:]])
    elements = Elements(render_page(hostile))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in Elements(render_page(expected)).tags]
    assert elements.texts.count(attack.replace("\x1b", "\N{SYMBOL FOR ESCAPE}")) >= len(candidates) + 3


def test_white_space_of_candidates_is_kept(page: str) -> None:
    assert '<div class="text">Candidate 0.0\n  indented</div>' in page
    assert re.search(r"\.text \{[^}]*white-space: pre-wrap", page)


def test_without_control(data: ReportData) -> None:
    metrics = dict(data.metrics)
    metrics["results"] = without(metrics["results"], "vft_same_steps")
    metrics["comparisons"] = without(metrics["comparisons"], "aligned_vs_vft_same_steps")
    recipe = data.recipe.model_copy(update={"control": data.recipe.control.model_copy(update={"enabled": False})})
    page = render_page(
        replace(
            data,
            recipe=recipe,
            metrics=metrics,
            stages=without(dict(data.stages), "control"),
            logs=without(dict(data.logs), "control"),
        )
    )
    assert "same steps" not in page
    assert "same number of optimizer steps" not in page
    assert "5.0 points above VFT" in page


def test_without_mixed_groups(data: ReportData) -> None:
    metrics = dict(data.metrics)
    nothing = {"assessment_accuracy": None, "assessment_accuracy_ci95": None, "num_assessed_problems": 0, "score_right": None}
    metrics["results"] = {name: {**result, **nothing, "score_wrong": None} for name, result in metrics["results"].items()}
    page = render_page(
        replace(data, metrics=metrics, groups=data.groups[1:3], scores={name: rows[1:3] for name, rows in data.scores.items()})
    )
    assert "assessment_accuracy" not in plots(page)
    assert "there are none in this run" in page
    assert "2 of 2 held-out groups" in page
    assert "None" not in Elements(page).text.replace("None:", "")


def test_one_of_a_thing_is_singular(data: ReportData) -> None:
    results = {name: {**result, "num_problems": 1, "num_assessed_problems": 1} for name, result in data.metrics["results"].items()}
    one = replace(data, metrics={**data.metrics, "results": results}, groups=data.groups[:1], left_out=data.left_out[:1])
    text = Elements(render_page(replace(one, scores={name: rows[:1] for name, rows in data.scores.items()}))).text
    for shown in (
        "the same 1 test problem;",
        "of the 1 problem with right and wrong ones",
        "1 of 1 held-out group,",
        "1 left out by",
    ):
        assert shown in text


def test_without_anything_that_may_be_missing(data: ReportData) -> None:
    results = {
        name: without(result, "accuracy_by_num_operations", "num_truncated", "accuracy_ci95")
        for name, result in data.metrics["results"].items()
    }
    bare = ReportData(recipe=data.recipe, stages={}, metrics={"results": results, "comparisons": {}})
    elements = Elements(render_page(bare))
    assert elements.open == []
    assert plots(render_page(bare)) == ["accuracy", "assessment_accuracy"]
    for shown in (
        "no scored held-out candidates",
        "no training log",
        "no groups to show",
        "no counts for this stage",
        "None: every problem",
    ):
        assert shown in elements.text


def test_without_validation_and_without_labelled_scores(data: ReportData) -> None:
    logs: dict[str, list[LogEntry]] = {
        "sft": [entry for entry in data.logs["sft"] if "eval_accuracy" not in entry],
        "align": [{"sft_loss": 0.1, "step": 1}],
    }
    assert plots(render_page(replace(data, logs=logs)))[-2:] == ["sft-loss", "vft-loss"]


def test_assessment_accuracy_while_training(data: ReportData) -> None:
    """Of both trainings, where groups were held out; the text of the figure says how it began and ended."""
    measured = {
        stage: [
            {"eval_assessment_accuracy": value, "eval_num_assessed_problems": 17, "step": 20 * n} for n, value in enumerate(values)
        ]
        for stage, values in {"align": (0.625, 0.7, 0.875), "control": (0.625, 0.6, 0.5)}.items()
    }
    logs = {name: [*measured.get(name, ()), *log] for name, log in data.logs.items()}
    page = render_page(replace(data, logs=logs))
    assert plots(page)[-1] == "assessment"
    assert "AFT-BC from 0.625 to 0.875, VFT, same steps from 0.625 to 0.5" in page
    assert "On the candidates of 17 training problems that training left out" in page


def test_only_empty_groups(data: ReportData) -> None:
    page = render_page(replace(data, groups=data.groups[3:4], scores={name: rows[3:4] for name, rows in data.scores.items()}))
    assert "scores-vft" not in plots(page)
    assert "no groups to show" in page


def test_imported_candidates_are_called_so(data: ReportData) -> None:
    recipe = Recipe.model_validate({"run_dir": "x", "candidates": {"format": "gsm8k_solutions", "path": "solutions.jsonl"}})
    text = Elements(render_page(replace(data, recipe=recipe))).text
    assert "imported from solutions.jsonl" in text
    assert "sampled from VFT" not in text


def test_words_lead_to_what_they_mean(data: ReportData, page: str) -> None:
    """Where they stand; a boundary is explained only to those who have one."""
    used = set(re.findall(r'class="term" href="#(term-\w+)"', page))
    explained = set(re.findall(r'<dt id="(term-\w+)">', page))
    assert {"term-accuracy", "term-assessment", "term-score", "term-mcnemar", "term-interval", "term-group"} <= used <= explained
    assert "term-boundary" in explained
    recipe = data.recipe.model_copy(update={"align": data.recipe.align.model_copy(update={"constraint": "detached"})})
    assert "term-boundary" not in render_page(replace(data, recipe=recipe))
