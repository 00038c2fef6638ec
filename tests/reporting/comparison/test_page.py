"""The page of a comparison: what it says, that it is one safe file, and that parts may be missing."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import made_up_comparison as made_up
from aftune.reporting.comparison import headline_baseline, render_comparison
from aftune.reporting.comparison.entries import finished
from aftune.reporting.comparison.findings import lead, told
from aftune.reporting.comparison.labels import label_points
from aftune.reporting.comparison.plots import accuracy_figure, correlation_words
from aftune.reporting.comparison.scores import score_curves, score_figures
from aftune.reporting.comparison.sweeps import BETA, K, sweep_figures, sweeps
from aftune.reporting.comparison.table import tables
from aftune.reporting.curves import Curve, mean_curve
from aftune.reporting.figures import Figure as PageFigure
from html_page import (
    ATTACK,
    Elements,
    assert_fits_a_phone_and_the_dark,
    assert_loads_nothing,
    assert_no_fixed_colours,
    assert_references_are_whole,
    plots,
)

pytestmark = pytest.mark.xdist_group("page")  # its fixtures are slow to make, so one process runs it all

ABOVE = made_up.difference(0.05, 0.014, 0.086, 0.04)
BELOW = made_up.difference(-0.031, -0.052, -0.01, 0.008)
UNTOLD = made_up.difference(0.02, -0.011, 0.051, 0.3)


def method(name: str, accuracy: float = 0.5, **differences: Any) -> dict[str, Any]:
    """One of one seed; differences are given as `vft_steps=...`."""
    against = {key.replace("_", "-"): value for key, value in differences.items()}
    return made_up.method(name, metrics={"accuracy": [accuracy], "assessment_accuracy": [0.8]}, differences=against)


def small() -> dict[str, Any]:
    """Three methods over two seeds, the third with one seed only, and one without any."""
    metrics: dict[str, list[float]] = {
        "accuracy": [0.45, 0.47],
        "assessment_accuracy": [0.75, 0.77],
        "score_right": [-0.13, -0.14],
        "score_wrong": [-0.22, -0.23],
        "reference_perplexity": [1.161, 1.163],
        "repetition": [0.021, 0.023],
        "mean_words": [31.0, 32.0],
        "vote_accuracy": [0.52, 0.54],
        "weighted_vote_accuracy": [0.53, 0.55],
        "best_of_k_accuracy": [0.56, 0.58],
        "pass_at_1": [0.44, 0.46],
        "pass_at_16": [0.7, 0.72],
    }
    better = {**metrics, "accuracy": [0.49, 0.53], "assessment_accuracy": [0.84, 0.88], "optimizer_steps": [1200, 1202]}
    one = {name: values[:1] for name, values in metrics.items()}
    results = made_up.results(
        [
            made_up.method("vft-steps", metrics=metrics),
            made_up.method("aft-bc", metrics={**better, "seconds": [100, 200]}, differences={"vft-steps": ABOVE}),
            made_up.method("rrhf", metrics=one, differences={"vft-steps": BELOW}),
            made_up.method("pro", metrics={}),
        ],
        seeds=(0, 1),
    )
    for run in results["runs"]:
        run["num_votes"] = 16
    return results


@pytest.fixture(scope="module")
def full() -> tuple[dict[str, Any], made_up.Logs]:
    return made_up.full([*made_up.ALL_METHODS[:7], *made_up.SWEEPS])


@pytest.fixture(scope="module")
def page(full: tuple[dict[str, Any], made_up.Logs]) -> str:
    return render_comparison(*full)


def text_of(results: dict[str, Any]) -> str:
    return Elements(render_comparison(results, {})).text


def test_the_values_are_on_the_page() -> None:
    """Means and deviations by hand: 49 and 53 % have the mean 51 and the deviation 2.8, 84 and 88 % 86 and 2.8."""
    text = text_of(small())
    for shown in (
        "arithmetic, bundled base model",
        "51.0 % ± 2.8",
        "47.0 to 55.0",
        "▲ +5.0",
        "1.4 to 8.6, p = 0.040",
        "▼ −3.1",
        "−5.2 to −1.0, p = 0.008",
        "86.0 % ± 2.8",
        "−0.1350",
        "−0.2250",
        "1.162",
        "2.2 %",
        "31.5",
        "1,201",
        "2 min 30 s",
        "Majorityvote of 16",  # a line break stands between
        "53.0 % ± 1.4",
        "54.0 % ± 1.4",
        "57.0 % ± 1.4",
        "pass@16",
        "71.0 %",
        "5 of 8 finished",
        "500 a seed",
        "5 min 0 s, all methods together",
    ):
        assert shown in text, shown


def test_the_lead_names_what_is_above_and_below() -> None:
    assert lead(small()) == (
        "AFT-BC is more accurate than “VFT, same steps” by more than chance. RRHF is less accurate than it by more than chance."
    )
    text = text_of(small())
    assert "Above “VFT, same steps” (points, with 95 % interval): AFT-BC +5.0 (1.4 to 8.6)." in text
    assert "Below “VFT, same steps” (points, with 95 % interval): RRHF −3.1 (−5.2 to −1.0)." in text


def test_the_lead_says_where_the_data_show_no_difference() -> None:
    nothing = made_up.results([method("vft-steps"), method("aft", vft_steps=UNTOLD), method("rft", vft_steps=UNTOLD)])
    assert lead(nothing) == ("The data do not show a difference: no method differs from “VFT, same steps” by more than chance.")
    some = made_up.results(
        [method("vft-steps"), method("aft", vft_steps=UNTOLD), method("rft", vft_steps=UNTOLD), method("pro", vft_steps=BELOW)]
    )
    assert lead(some) == (
        "PRO is less accurate than “VFT, same steps” by more than chance. For AFT and RFT the data do not show a difference."
    )


def test_the_lead_counts_many_and_quotes_names_with_commas() -> None:
    two = [method("aft-bc:beta=0.3", vft=ABOVE), method("aft", vft=ABOVE)]
    assert lead(made_up.results([method("vft"), *two])) == (
        "“AFT-BC, beta 0.3” and AFT are more accurate than VFT by more than chance."
    )
    names = ("aft", "aft-bc", "aft-dc", "pro", "rrhf")
    many = made_up.results([method("vft"), *(method(name, vft=ABOVE) for name in names)])
    assert lead(many) == "5 methods are more accurate than VFT by more than chance."


def test_the_lead_without_a_baseline_and_without_others() -> None:
    assert "no VFT method is part of the comparison" in lead(made_up.results([method("aft"), method("pro")]))
    assert lead(made_up.results([method("vft"), made_up.method("aft", metrics={})])) == (
        "There is nothing to compare yet: no other method has finished a seed that VFT has finished too."
    )


def test_the_headline_baseline_is_the_one_of_the_same_steps() -> None:
    def chosen(*names: str) -> str | None:
        found = headline_baseline(made_up.results([method(name) for name in names]))
        return None if found is None else str(found["name"])

    assert chosen("aft", "vft", "vft-compute", "vft-steps") == "vft-steps"
    assert chosen("vft-compute", "vft") == "vft"
    assert chosen("vft-compute") == "vft-compute"
    assert chosen("aft") is None
    unfinished = made_up.results([method("vft"), made_up.method("vft-steps", metrics={})])
    found = headline_baseline(unfinished)
    assert found is not None
    assert found["name"] == "vft"


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"),
    [
        (0.01, 0.09, 0.05, 1),
        (0.01, 0.09, 0.051, 0),
        (0.0, 0.1, 0.01, 0),
        (-0.09, -0.01, 0.01, -1),
        (-0.09, 0.0, 0.01, 0),
        (-0.1, 0.1, 1.0, 0),
    ],
)
def test_more_than_chance_takes_both_interval_and_holm(low: float, high: float, p: float, expected: int) -> None:
    assert told(made_up.difference((low + high) / 2, low, high, p)) == expected
    unadjusted = {**made_up.difference((low + high) / 2, low, high, 0.5), "p_value": p}
    assert told(unadjusted) == 0


def test_unfinished_runs_are_listed() -> None:
    text = text_of(small())
    assert "RRHF1 of 21" in text  # method, 1 of 2, seed 1
    assert "PRO0 of 20, 1" in text
    assert "VFT, same steps2 of 2" not in text
    assert "Unfinished runs" in text
    assert "Unfinished runs" not in text_of(made_up.results([method("vft")]))


def test_methods_of_a_loss_stand_together() -> None:
    names = ["vft", "aft", "rft", "pro", "aft-bc", "vft-steps", "rft:max_positives=2"]
    order = [item["name"] for item in finished(made_up.results([method(name) for name in names]))]
    assert order == ["vft", "vft-steps", "aft", "aft-bc", "rft", "rft:max_positives=2", "pro"]


def test_one_seed_and_missing_metrics() -> None:
    bare = made_up.results([made_up.method("vft", metrics={"accuracy": [0.4]}), method("aft", vft=UNTOLD)])
    page = render_comparison(bare, {})
    text = Elements(page).text
    assert "±" not in text.replace("± is the standard deviation", "")
    assert "One seed only" in text
    assert "Training time–" in text  # nothing is known of it, which is not 0 s
    for absent in ("Votes and pass@k", "Perplexity", "Optimizer", "None,", "nan", "p = None"):
        assert absent not in text, absent
    assert "No training log has scores." in text
    assert plots(page) == ["accuracy", "correlation"]
    no_assessment = made_up.results([made_up.method("vft", metrics={"accuracy": [0.4]})])
    assert plots(render_comparison(no_assessment, {})) == ["accuracy"]


def test_nothing_has_finished() -> None:
    page = render_comparison(made_up.results([made_up.method("vft", metrics={}), made_up.method("aft", metrics={})]), {})
    assert plots(page) == []
    assert Elements(page).open == []
    assert "No run has finished." in Elements(page).text


def test_columns_by_task_where_there_are_several() -> None:
    metrics = {
        "accuracy": [0.5],
        "accuracy.arithmetic": [0.6],
        "accuracy.sequences": [0.4],
        "assessment_accuracy.arithmetic": [0.9],
    }
    found = {table.title: table for table in tables(made_up.results([made_up.method("vft", metrics=metrics)]))}
    columns = [("Accuracy,", "arithmetic"), ("Accuracy,", "sequences"), ("Assessment,", "arithmetic")]
    assert found["By task"].columns == columns
    assert [cell.text.replace("\u00a0", " ") for cell in found["By task"].rows[0].cells] == ["60.0 %", "40.0 %", "90.0 %"]


def test_every_figure_is_there(page: str) -> None:
    drawn = plots(page)
    assert drawn[:2] == ["accuracy", "correlation"]
    aligned = ["aft", "aft-dc", "aft-bc", *made_up.SWEEPS]
    assert drawn[2 : 2 + len(aligned)] == [f"scores-{name}" for name in aligned]
    betas = ["aft-bc:beta=0.1", "aft-bc:beta=0.3:k=4", "dpo-bc:beta=5"]
    ks = ["aft-bc:k=2", "aft-bc:beta=0.3:k=4"]
    assert drawn[2 + len(aligned) :] == [*(f"beta-{name}" for name in betas), *(f"k-{name}" for name in ks)]


def test_a_sweep_takes_two_methods_that_differ_in_nothing_else(full: tuple[dict[str, Any], made_up.Logs]) -> None:
    """The recipe's own beta is 0.7, auto came to 0.18, 0.19 and 0.20, and the recipe's own k is 6."""
    found = sweeps(full[0], BETA)
    assert [(sweep.title, sweep.values) for sweep in found] == [
        ("AFT-BC", pytest.approx([0.1, 0.19, 0.3, 0.5, 0.7, 1, 2])),
        ("AFT-BC, k 4", pytest.approx([0.3, 0.7])),
        ("DPO-BC", [5, 20]),
    ]
    assert [item["name"] for item in found[0].methods[:2]] == ["aft-bc:beta=0.1", "aft-bc:beta=auto"]
    assert [(sweep.title, sweep.values) for sweep in sweeps(full[0], K)] == [("AFT-BC", [2, 4, 6]), ("AFT-BC, beta 0.3", [4, 6])]


def swept(name: str, **metrics: float) -> dict[str, Any]:
    return made_up.method(name, metrics={"accuracy": [0.5], **{key: [value] for key, value in metrics.items()}})


@pytest.mark.parametrize(
    ("methods", "betas", "ks"),
    [
        ([("aft-bc:beta=0.3", {"beta": 0.3})], 0, 0),
        ([("aft-bc:beta=0.3", {"beta": 0.3}), ("aft-bc", {"beta": 0.7})], 1, 0),
        ([("aft-bc:beta=0.3", {"beta": 0.3}), ("rrhf-bc", {"beta": 0.7})], 0, 0),
        ([("aft-bc:beta=0.3:k=4", {"beta": 0.3}), ("aft-bc:beta=0.7", {"beta": 0.7})], 0, 0),
        ([("aft:beta=0.3", {"beta": 0.3}), ("aft", {"beta": 0.7})], 0, 0),  # without a boundary, beta is of nothing
        ([("rft:k=2", {}), ("rft:k=4", {})], 0, 1),
        ([("rft", {"k": 6}), ("rft:k=4", {"k": 4})], 0, 1),
        ([("rft", {}), ("rft:k=4", {})], 0, 0),  # k of the first is not known
        ([("aft", {"k": 6}), ("pro", {"k": 6})], 0, 0),
    ],
)
def test_figures_of_beta_and_k(methods: list[tuple[str, dict[str, float]]], betas: int, ks: int) -> None:
    results = made_up.results([swept(name, **metrics) for name, metrics in methods])
    assert (len(sweep_figures(results, BETA)), len(sweep_figures(results, K))) == (betas, ks)
    page = render_comparison(results, {})
    assert ('id="sweeps"' in page) == ('href="#sweeps"' in page) == bool(betas or ks)


def test_auto_is_drawn_at_the_beta_that_was_used() -> None:
    figure = sweep_figures(made_up.results([swept("aft-bc:beta=auto", beta=0.18), swept("aft-bc", beta=0.7)]), BETA)[0]
    assert "0.18 (auto) 50.0" in figure.svg
    assert ">auto<" in figure.svg
    assert "at the value that it came to" in figure.caption


def test_dpo_has_its_own_unit() -> None:
    dpo = sweep_figures(made_up.results([swept("dpo-bc:beta=5", beta=5), swept("dpo-bc", beta=20)]), BETA)[0].svg
    aft = sweep_figures(made_up.results([swept("aft-bc:beta=1", beta=1), swept("aft-bc", beta=0.7)]), BETA)[0].svg
    assert "beta, nats<" in dpo
    assert "beta, nats per token<" in aft


def captions(figures: list[PageFigure]) -> list[str]:
    return [figure.caption.replace("\u00a0", " ") for figure in figures]


def test_score_curves_are_means_over_seeds() -> None:
    logs: made_up.Logs = {
        ("aft", 0): [{"score_better": -0.1, "score_worse": -0.3, "step": 10}, {"score_better": -0.2, "step": 20}],
        ("aft", 1): [{"score_better": -0.3, "step": 10}, {"score_better": -0.4, "step": 20}, {"train_loss": 1.0, "step": 20}],
    }
    found = score_curves(method("aft"), logs, (0, 1, 2))
    assert found == {
        "better": Curve([10, 20], [pytest.approx(-0.2), pytest.approx(-0.3)]),
        "worse": Curve([10], [pytest.approx(-0.3)]),
    }
    results = made_up.results([method("aft"), method("vft")], seeds=(0, 1))
    figures = score_figures(results, logs)
    assert captions(figures) == ["Last tenth: better −0.3000, worse −0.3000."]


def test_the_caption_of_scores_is_of_the_last_tenth() -> None:
    """The last 2 of 20 steps: (-0.2 - 0.4) / 2 = -0.3."""
    log = [{"score_better": -0.1, "step": float(step)} for step in range(1, 19)]
    log += [{"score_better": -0.2, "step": 19.0}, {"score_better": -0.4, "step": 20.0}]
    figures = score_figures(made_up.results([method("aft")]), {("aft", 0): log})
    assert captions(figures) == ["Last tenth: better −0.3000."]


def test_mean_of_curves_with_different_steps() -> None:
    """The second, at 4 halfway between 10 and 20, is 15 there; only steps 2 to 6 are reached by both."""
    mean = mean_curve([Curve([0, 2, 4, 6, 8], [0, 0, 1, 0, 0]), Curve([2, 6], [10, 20])])
    assert mean == Curve([2, 4, 6], [5, 8, 10])
    assert mean_curve([Curve([1], [0.5]), Curve([2], [0.5])]) is None
    assert mean_curve([]) is None


def test_pearsons_r_is_in_the_caption() -> None:
    words = correlation_words({"r": 0.69, "ci95": [-0.276, 0.963], "p_value": 0.129, "num_methods": 6})
    assert words.replace("\u00a0", " ") == "Pearson’s r over the 6 methods: 0.69 (95 % interval −0.28 to 0.96, p = 0.13)."
    assert "too few" in text_of(made_up.results([method("vft"), method("aft")]))


def test_texts_cannot_become_markup() -> None:
    results = made_up.results([method("vft"), method("aft-bc", vft=UNTOLD), swept("aft-bc:beta=0.3", beta=0.3)])
    tags = [tag for tag, _ in Elements(render_comparison(results, {})).tags]
    for item in results["methods"]:
        item["title"] = f"{ATTACK} $x^2$ & {item['title']}"
    elements = Elements(render_comparison({**results, "task": ATTACK, "model": ATTACK}, {}))
    in_figures = {"text", "tspan", "g", "path", "use", "defs", "clippath", "rect", "svg"}
    assert [tag for tag, _ in elements.tags if tag not in in_figures] == [tag for tag in tags if tag not in in_figures]
    assert elements.text.count("\N{SYMBOL FOR ESCAPE}[31m") >= 6
    assert "\x1b" not in elements.text


def test_the_same_data_gives_the_same_bytes(full: tuple[dict[str, Any], made_up.Logs], page: str) -> None:
    assert render_comparison(*made_up.full([*made_up.ALL_METHODS[:7], *made_up.SWEEPS])) == page
    assert render_comparison(full[0], {}) != page


@pytest.mark.parametrize(
    "check", [assert_loads_nothing, assert_references_are_whole, assert_fits_a_phone_and_the_dark, assert_no_fixed_colours]
)
def test_the_page_is_one_safe_file(page: str, check: Callable[[str], None]) -> None:
    assert Elements(page).open == []
    check(page)


def test_names_of_28_methods_do_not_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the figure of accuracies stand at least a line of 9.5 points apart, 0.27 inches a row; three lines take more."""
    results = made_up.full([*made_up.ALL_METHODS, "aft-bc:beta=0.3:k=4:learning_rate=0.0001:feedback=ranking"], seeds=(0,))[0]
    ticks: list[tuple[float, str]] = []
    original = Axes.set_yticks

    def record(axes: Axes, places: Any, labels: Any = None, **options: Any) -> Any:
        ticks.extend(zip(places, labels, strict=True))
        return original(axes, places, labels, **options)

    monkeypatch.setattr(Axes, "set_yticks", record)
    assert accuracy_figure(results) is not None
    assert len(ticks) == 29
    for (place, label), (below, other) in itertools.pairwise(ticks):
        lines = [text.count("\n") + 1 for text in (label, other)]
        assert (below - place) * 0.27 * 72 >= 9.5 * 1.2 * sum(lines) / 2


def test_points_are_named_only_where_there_is_room() -> None:
    """A crowd in one place has some names; each is inside the axes, and no two overlap."""
    axes = Figure(figsize=(4, 3), layout="constrained").add_subplot()
    points = [(0.01 * (place % 7), 0.01 * (place // 7)) for place in range(28)] + [(1.0, 1.0)]
    axes.scatter(*zip(*points, strict=True))
    label_points(axes, points, [f"method {place}" for place in range(29)], ["#000000"] * 29)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert 2 <= len(boxes) < 29
    assert "method 28" in [text.get_text() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0 for box in boxes)
