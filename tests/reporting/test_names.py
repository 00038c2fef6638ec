"""A page says what happened: the method's name, what the control matched, the unit of beta; and what the stages warned of."""

from dataclasses import replace
from typing import Any

import pytest

import made_up_comparison as made_up
from aftune.recipe import Recipe
from aftune.reporting import ReportData, render_page
from aftune.reporting.comparison import render_comparison
from aftune.reporting.run.facts import facts
from html_page import Elements


def with_recipe(data: ReportData, **sections: Any) -> ReportData:
    return replace(data, recipe=Recipe.model_validate({"run_dir": "runs/made-up", "seed": 3, **sections}))


def fact(data: ReportData, name: str) -> str:
    return next(item.value for item in facts(data) if item.name == name)


def text_of(data: ReportData) -> str:
    return Elements(render_page(data)).text


def renamed(data: ReportData) -> ReportData:
    """With the key that the control has for the same compute."""

    def rename(values: Any) -> dict[str, Any]:
        return {key.replace("vft_same_steps", "vft_same_compute"): value for key, value in values.items()}

    metrics = {**data.metrics, "results": rename(data.metrics["results"]), "comparisons": rename(data.metrics["comparisons"])}
    return replace(data, metrics=metrics)


def test_a_control_for_the_same_compute_is_nowhere_called_same_steps(data: ReportData) -> None:
    text = text_of(renamed(with_recipe(data, control={"match": "compute"})))
    assert "VFT, same compute" in text
    assert "“same compute” is VFT continued for as many trained tokens as AFT-BC takes" in text
    assert "The data do not show a difference between AFT-BC and “VFT, same compute”: " in text
    for wrong in ("same steps", "same number of optimizer steps", "as many optimizer steps", "vft_same"):
        assert wrong not in text


@pytest.mark.parametrize(
    ("align", "shown"),
    [
        ({"loss": "dpo", "beta": 5.0}, "DPO-BC: constraint boundary (BC), beta 5 nats, dpo_beta 0.1, weight 1"),
        (
            {"beta": "auto"},
            "AFT-BC: constraint boundary (BC), beta auto = 0.213 nats per token (40 % of the push stays), weight 1",
        ),
        ({"loss": "dpo", "constraint": "none"}, "DPO: constraint none, dpo_beta 0.1, weight 1"),
        (
            {"loss": "rrhf", "rrhf_length_normalisation": "padded", "beta": 0.15},
            "RRHF-BC: constraint boundary (BC), beta 0.15 nats per token of the padded row",
        ),
        (
            {"alignment_weight": 0.0, "sft_on": "positives", "max_positives": 2},
            "RFT: no alignment loss; the VFT loss is taken on the reference and the right candidates, at most 2 a problem; starts",
        ),
        (
            {"start": "base", "reference_is_candidate": False},
            "VFT weight 1; starts from the base model; the reference does not join the candidates",
        ),
    ],
)
def test_the_settings_that_had_an_effect_with_their_units(data: ReportData, align: dict[str, Any], shown: str) -> None:
    summary = {**data.summary("align"), "beta": 0.21345}
    stages = {**data.stages, "align": {**data.stages["align"], "summary": summary}}
    made = with_recipe(replace(data, stages=stages), align=align)
    assert shown in fact(made, "Alignment")
    assert "auto nats" not in text_of(made)


def test_an_automatic_beta_of_each_round(data: ReportData) -> None:
    entry = data.stages["align"]
    stages = {**data.stages, "align": {**entry, "summary": {"beta": 0.2}}, "align-2": {**entry, "summary": {"beta": 0.3}}}
    made = with_recipe(replace(data, stages=stages), align={"beta": "auto"}, rounds=2)
    assert "beta auto = 0.2, then 0.3 nats per token (40 % of the push stays)" in fact(made, "Alignment")
    assert "beta auto (40 % of the push stays)" in fact(with_recipe(data, align={"beta": "auto"}), "Alignment")


def test_another_method_is_called_by_its_name(data: ReportData) -> None:
    text = text_of(with_recipe(data, align={"loss": "dpo", "constraint": "none"}))
    for shown in ("DPO is 42.1 points above the base model", "After: DPO", "DPO against the others", "score after (DPO)"):
        assert shown in text, shown
    assert "AFT" not in text
    assert "Aligned" not in text


def test_without_a_boundary_nothing_is_below_it(data: ReportData) -> None:
    """The log has the share for every constraint."""
    assert "below the boundary" in text_of(data)
    assert "below the boundary" not in text_of(with_recipe(data, align={"constraint": "detached"}))


def test_before_is_the_model_that_alignment_started_from(data: ReportData) -> None:
    scores = {"base": data.scores["vft"], "aligned": data.scores["aligned"]}
    results = {name: data.metrics["results"][name] for name in ("base", "vft", "aligned")}
    metrics = {**data.metrics, "results": results}
    text = text_of(replace(with_recipe(data, align={"start": "base"}), scores=scores, metrics=metrics))
    assert "answers 60.3 % of 600 test problems right, the base model 18.2 %" in text
    assert "Before: base" in text
    assert "before is base" in text


def test_without_an_alignment_loss_nothing_was_aligned(data: ReportData) -> None:
    text = text_of(with_recipe(data, align={"alignment_weight": 0.0, "sft_on": "positives"}))
    assert "Whether RFT changed accuracy cannot be told from these problems: RFT answers 60.3 %" in text


def test_warnings_stand_at_the_top_of_the_page(data: ReportData) -> None:
    stages = {**data.stages, "label": {**data.stages["label"], "warnings": ["No group <has> pairs."]}}
    page = render_page(replace(data, stages=stages))
    warning, first_section = page.index("⚠ Warning, <bdi>label</bdi>."), page.index('<section id="run">')
    assert warning < first_section
    assert "No group &lt;has&gt; pairs." in page
    assert "Warning" not in text_of(data)


def test_warnings_stand_on_the_page_of_a_comparison() -> None:
    results, _ = made_up.full(["vft", "aft-bc"])
    warned = [{"where": f"seed {seed}, shared stages, label", "text": f"No group <{seed}>."} for seed in range(5)]
    for number in (0, 2, 5):
        page = render_comparison({**results, "warnings": warned[:number]}, {})
        assert page.count("⚠ Warning, <bdi>seed ") == number
        assert ("5 warnings from the runs" in page) is (number == 5)
        assert number == 0 or "No group &lt;0&gt;." in page
    assert "⚠" not in render_comparison(results, {})


def test_both_numbers_of_the_best_epoch_are_shown(data: ReportData) -> None:
    """Epochs 1 and 2 are equally right; the second has the lower loss."""
    log = [entry for entry in data.logs["sft"] if "eval_accuracy" not in entry]
    for step, accuracy, loss, choice in ((10, 0.5, 1.0, 0.52), (20, 0.5, 0.5, 0.53), (30, 0.4, 0.4, 0.44)):
        log.append({"eval_accuracy": accuracy, "eval_loss": loss, "eval_accuracy_then_loss": choice, "step": step})
    text = text_of(replace(data, logs={**data.logs, "sft": log}))
    assert "The weights of epoch 2 of 3 were kept (50.0 %; of 2 epochs with this accuracy, the one with the lowest" in text
    sft = data.recipe.sft.model_copy(update={"keep": "loss"})
    by_loss = [{**entry, "eval_accuracy_then_loss": n / 10} if "eval_loss" in entry else entry for n, entry in enumerate(log)]
    ours = replace(data, recipe=data.recipe.model_copy(update={"sft": sft}), logs={**data.logs, "sft": by_loss})
    assert "The weights of epoch 3 of 3 were kept (40.0 %; the epoch with the lowest validation loss, whatever its" in text_of(ours)
    assert "validation from 1 to 0.4" in render_page(replace(data, logs={**data.logs, "sft": log}))


def test_the_page_says_which_models_and_engines_sampled(data: ReportData) -> None:
    sources = [{"name": "large", "model": "other", "num_candidates": 2}]
    found = fact(with_recipe(data, sample={"engine": "vllm", "sources": sources, "max_new_tokens": 100}), "Candidates")
    assert found == "k = 6 a problem, 2 of large, temperature 1, at most 100 tokens; sampled by vllm"
    assert "sampled by" not in fact(with_recipe(data), "Candidates")
