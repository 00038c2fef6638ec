"""What a stage warns of: the sentence says what happened and what to change, and healthy runs have none."""

from typing import Any

import pytest

from aftune.evaluation.best_epoch import accuracy_then_loss
from aftune.pipeline.warning_signs import of_alignment, of_labelling, of_results, of_vft
from aftune.recipe import Recipe


def recipe(**sections: Any) -> Recipe:
    return Recipe.model_validate({"run_dir": "x", **sections})


def log(*epochs: tuple[float, float | None]) -> list[dict[str, float]]:
    """Of accuracies and losses, as the stage logs them."""
    entries = []
    for step, (accuracy, loss) in enumerate(epochs, 1):
        entry = {"eval_accuracy": accuracy, "eval_accuracy_then_loss": accuracy_then_loss(accuracy, loss, 100), "step": step}
        entries.append(entry if loss is None else entry | {"eval_loss": loss})
    return entries


def test_validation_accuracy_0_in_every_epoch() -> None:
    (text,) = of_vft(log((0, 3.0), (0, 1.0), (0, 2.0)), recipe(), 200)
    assert text.startswith("Validation accuracy is 0 in all 3 epochs; epoch 2 was kept for the lowest validation loss. Raise ")
    for key in ("evaluate.max_new_tokens (192)", "sft.num_epochs", "sft.learning_rate"):
        assert key in text
    (text,) = of_vft(log((0, None), (0, None)), recipe(), 200)
    assert "epoch 1 was kept for no reason: there are no references to compute a loss on" in text
    assert "in the only epoch" in of_vft(log((0, 3.0)), recipe(), 200)[0]
    assert of_vft(log((0, 3.0), (0.01, 3.0), (0, 1.0)), recipe(), 200) == []
    assert of_vft([], recipe(), 200) == []


def test_an_epoch_that_is_kept_by_chance() -> None:
    """3 of 12 right against 1: 16.7 points, within 1.96 sqrt((0.1875 + 0.0764) / 12) = 29. With 100 problems or more, by loss,
    with nearly the same loss, or with 11 of 12 right against 1, there is nothing to say."""
    found = log((3 / 12, 2.9), (1 / 12, 1.2), (1 / 12, 0.9))
    (text,) = of_vft(found, recipe(), 12)
    assert text.startswith("Epoch 1 of VFT was kept, with 25.0")
    assert "of 12 validation problems right; epoch 3 has 8.3" in text
    assert text.endswith("or set sft.keep=loss.")
    assert of_vft(found, recipe(), 100) == []
    assert of_vft(found, recipe(sft={"keep": "loss"}), 12) == []
    assert of_vft(log((3 / 12, 0.95), (1 / 12, 0.9)), recipe(), 12) == []
    assert of_vft(log((11 / 12, 2.9), (1 / 12, 0.9)), recipe(), 12) == []


def test_the_best_epoch_is_the_last() -> None:
    """A control that goes on with VFT shows what longer training alone brings: then there is nothing to warn of."""
    alone = recipe(control={"enabled": False})
    assert "may not have reached its plateau" in of_vft(log((0.1, 2.0), (0.2, 1.0), (0.3, 1.0)), alone, 200)[0]
    assert "plateau" in of_vft(log((0.3, 2.0), (0.3, 1.0)), alone, 200)[0]  # equal, with the lower loss
    assert of_vft(log((0.3, 1.0), (0.3, 2.0)), alone, 200) == []
    assert of_vft(log((0.1, 2.0), (0.2, 1.0), (0.3, 1.0)), recipe(), 200) == []
    assert of_vft([{"eval_accuracy": a, "step": s} for s, a in enumerate((0.1, 0.3, 0.3))], recipe(), 200) == []


COUNTS = {"candidates": 60, "right": 30, "wrong": 30, "groups_mixed": 8, "groups_all_right": 1, "groups_all_wrong": 1}


def test_healthy_labelling() -> None:
    assert of_labelling({**COUNTS, "truncated": 5, "right_strict": 30, "right_flexible": 33}, recipe(), "sample") == []


@pytest.mark.parametrize(
    ("counts", "remedy"),
    [
        ({"groups_all_right": 9, "groups_all_wrong": 1}, "Raise sample.temperature or sample.num_candidates"),
        ({"groups_all_right": 1, "groups_all_wrong": 9}, "Train VFT longer (sft.num_epochs, sft.learning_rate)"),
        ({"groups_empty": 10}, "Train VFT longer"),
        ({"groups_all_wrong": 9, "right_flexible": 2}, "take easier problems, or try label.reading=flexible."),
        ({"groups_all_wrong": 9}, "(sft.num_epochs, sft.learning_rate), or take easier problems."),
    ],
)
def test_no_group_has_right_and_wrong_candidates(counts: dict[str, int], remedy: str) -> None:
    (text,) = of_labelling({"candidates": 60, **counts}, recipe(), "sample")
    assert text.startswith("No group has both right and wrong candidates (")
    joins = "learns from references against wrong candidates alone" if counts.get("groups_all_wrong") else "nothing to learn from"
    assert f"the alignment loss {joins}" in text.replace("has nothing", "nothing")
    assert remedy in text
    (text,) = of_labelling({"candidates": 60, **counts}, recipe(align={"reference_is_candidate": False}), "sample")
    assert "the alignment loss has nothing to learn from" in text
    (text,) = of_labelling({"candidates": 60, **counts}, recipe(), "evaluate")
    assert "assessment accuracy cannot be measured" in text


@pytest.mark.parametrize(
    ("model", "task", "said"),
    [("bundled", "jsonl", True), ("bundled", "gsm8k", True), ("bundled", "arithmetic", False), ("some/model", "jsonl", False)],
)
def test_the_toy_is_named_where_it_cannot_do_better(model: str, task: str, said: bool) -> None:
    ours = recipe(model={"name": model}, task={"name": task})
    texts = [*of_vft(log((0, 3.0), (0, 1.0)), ours, 200), *of_labelling({"candidates": 60, "groups_all_wrong": 9}, ours, "sample")]
    texts += of_results({"vft": {"accuracy": 0.0, "num_problems": 12, "num_truncated": 0}}, ours)
    assert len(texts) == 3
    [easy] = of_labelling({"candidates": 60, "groups_all_right": 9}, ours, "sample")
    assert easy.endswith("or take harder problems.")
    assert [text.endswith("take a real model (model.name) for other questions.") for text in texts] == [said] * 3


def test_ranks_make_pairs_where_verdicts_do_not() -> None:
    counts = {"candidates": 60, "groups_all_wrong": 10, "groups_with_rank_pairs": 7}
    assert of_labelling(counts, recipe(), "sample", by_rank=True) == []
    assert len(of_labelling(counts, recipe(), "sample")) == 1


def test_candidates_that_were_cut_off() -> None:
    (text,) = of_labelling({**COUNTS, "truncated": 30}, recipe(sample={"max_new_tokens": 64}), "sample")
    assert text.startswith("30 of 60 candidates were cut off and left out. Raise sample.max_new_tokens (it is 64)")
    assert of_labelling({**COUNTS, "truncated": 29}, recipe(), "sample") == []
    given = {"format": "json_lines", "path": "x.jsonl"}
    (text,) = of_labelling({**COUNTS, "truncated": 60}, recipe(candidates=given), "sample")
    assert text.endswith("Import complete responses.")


def test_candidates_whose_answers_only_the_flexible_reading_finds() -> None:
    """Of the 50 whole ones 2 and 32 are right."""
    counts = {**COUNTS, "truncated": 8, "empty": 2, "right_strict": 2, "right_flexible": 32}
    (text,) = of_labelling(counts, recipe(), "sample")
    assert "(candidates: strict 4.0\N{NO-BREAK SPACE}%, flexible 64.0\N{NO-BREAK SPACE}%)" in text
    assert "Set label.reading=flexible" in text
    assert of_labelling(counts, recipe(label={"reading": "flexible"}), "sample") == []


def result(accuracy: float, cut_off: int = 0, flexible: float | None = None) -> dict[str, Any]:
    by_reading = {"strict": accuracy, "flexible": accuracy if flexible is None else flexible}
    return {"accuracy": accuracy, "num_truncated": cut_off, "num_problems": 100, "accuracy_by_reading": by_reading}


def test_results() -> None:
    """Models are called as in the tables."""
    healthy = {"base": result(0.1), "vft": result(0.5, 49), "aligned": result(0.6, flexible=0.65)}
    assert of_results(healthy, recipe()) == []
    dpo = recipe(align={"loss": "dpo", "constraint": "none"}, evaluate={"max_new_tokens": 32})
    (text,) = of_results({**healthy, "base": result(0.1, 100), "aligned": result(0.2, 50)}, dpo)
    assert text.startswith("Greedy responses were cut off: base 100.0\N{NO-BREAK SPACE}%, DPO 50.0\N{NO-BREAK SPACE}%. ")
    assert "Raise evaluate.max_new_tokens (it is 32)" in text
    (text,) = of_results({**healthy, "vft": result(0.1, flexible=0.5)}, recipe())
    assert "(VFT: strict 10.0\N{NO-BREAK SPACE}%, flexible 50.0\N{NO-BREAK SPACE}%)" in text
    (text,) = of_results({"vft": result(0), "aligned": result(0)}, recipe())
    assert text.startswith("No model has a single right response")


def test_responses_that_cannot_be_read() -> None:
    results = {"vft": result(0.3) | {"reasons": {"no answer": 49}}, "aligned": result(0.3) | {"reasons": {"no answer": 50}}}
    (text,) = of_results(results, recipe())
    assert text.startswith("No answer is found in many greedy responses: AFT-BC 50.0\N{NO-BREAK SPACE}%. ")
    assert text.endswith("(prompt.instruction, prompt.few_shot), or train VFT longer.")
    (text,) = of_results({"base": results["aligned"], "aligned": result(0.3)}, recipe())  # which no training changes
    assert text.endswith("(prompt.instruction, prompt.few_shot); before training a model may not know it.")


def test_a_model_that_alignment_has_made_worse() -> None:
    """Ten points more repetition than VFT has; an interval of assessment accuracy that ends below one half."""
    vft = result(0.3) | {"repetition": 0.05, "assessment_accuracy": 0.4, "assessment_accuracy_ci95": [0.3, 0.5]}
    worse = result(0.3) | {"repetition": 0.16, "assessment_accuracy": 0.2, "assessment_accuracy_ci95": [0.1, 0.49]}
    repeats, below = of_results({"vft": vft, "aligned": worse}, recipe())
    assert repeats.startswith("AFT-BC repeats itself: 16.0\N{NO-BREAK SPACE}% of its word 4-grams have come before, of VFT's 5.0")
    assert below.startswith("AFT-BC scores wrong responses above right ones: its assessment accuracy is 20.0\N{NO-BREAK SPACE}%")
    assert of_results({"vft": vft, "aligned": worse | {"repetition": 0.149, "assessment_accuracy_ci95": None}}, recipe()) == []


def curves(better: list[float], worse: list[float]) -> list[dict[str, float]]:
    return [{"score_better": b, "score_worse": w, "step": i} for i, (b, w) in enumerate(zip(better, worse, strict=True))]


@pytest.mark.parametrize(
    ("better_end", "worse_end", "warned"), [(-0.2, -0.3, True), (-0.05, -0.3, False), (-0.2, -0.05, False), (-0.1, -0.1, False)]
)
def test_both_scores_must_fall(better_end: float, worse_end: float, warned: bool) -> None:
    found = of_alignment(curves([-0.1] * 18 + [better_end] * 2, [-0.1] * 18 + [worse_end] * 2), aligned=True)
    assert bool(found) is warned
    if warned:
        assert "−0.1000 to −0.2000" in found[0]
        assert "−0.1000 to −0.3000" in found[0]


def test_tenths_are_compared_not_single_entries() -> None:
    """One bad last entry among twenty is outweighed by its neighbour in the last tenth."""
    assert of_alignment(curves([-0.1] * 18 + [0.0, -0.15], [-0.1] * 18 + [0.0, -0.15]), aligned=True) == []


def test_an_alignment_without_a_pair() -> None:
    without = [{"sft_loss": 0.1, "alignment_loss": 0.0, "step": 1}]
    assert of_alignment(without, aligned=True)[0].startswith("No group in training had both a better and a worse candidate")
    assert of_alignment(without, aligned=False) == []
