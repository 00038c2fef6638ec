"""Questions on which a method and the baseline differ."""

from typing import Any

import made_up_comparison as made_up
from aftune.records import JudgedResponse, Problem
from aftune.reporting.comparison import Greedy, render_comparison
from aftune.reporting.comparison.examples import examples
from html_page import Elements, assert_references_are_whole


def verdicts(right: str) -> list[JudgedResponse]:
    """`+-+`: right, wrong, right."""
    return [
        JudgedResponse(problem_id=f"p{place}", text=f"text {sign}", right=sign == "+", reason="matched", finish_reason="stop")
        for place, sign in enumerate(right)
    ]


def greedy(**right: str) -> Greedy:
    number = len(next(iter(right.values())))
    problems = [Problem(id=f"p{n}", task="t", question=f"Question {n}?", gold_answer=f"gold {n}") for n in range(number)]
    return Greedy(3, problems, {name.replace("_", "-"): verdicts(signs) for name, signs in right.items()})


def results(*names: str) -> dict[str, Any]:
    return made_up.results([made_up.method(name, metrics={"accuracy": [0.5]}) for name in names])


def test_what_only_one_of_the_two_has_right() -> None:
    """Against VFT, same steps (`+-+-+`): only AFT (`++---`) is right on question 1, only the baseline on 2 and 4; RFT
    does not differ."""
    found = examples(results("vft-steps", "aft", "rft"), greedy(vft_steps="+-+-+", aft="++---", rft="+-+-+"))
    assert list(found) == ["aft"]
    entry = found["aft"]
    assert (entry.num_gained, entry.num_lost) == (1, 2)
    assert [one.problem.id for one in entry.gained] == ["p1"]
    assert [one.problem.id for one in entry.lost] == ["p2", "p4"]


def test_a_few_of_many_spread_evenly() -> None:
    """Three of twelve: places 2, 6 and 10."""
    [entry] = examples(results("vft", "aft"), greedy(vft="-" * 12, aft="+" * 12)).values()
    assert [one.problem.id for one in entry.gained] == ["p2", "p6", "p10"]
    assert (entry.num_gained, entry.num_lost) == (12, 0)


def test_names_of_methods_lead_to_their_examples() -> None:
    page = render_comparison(results("vft-steps", "aft", "rft"), {}, greedy(vft_steps="+-+", aft="++-", rft="+-+"))
    assert_references_are_whole(page)
    elements = Elements(page)
    [link] = [attributes["href"] for tag, attributes in elements.tags if tag == "a" and "examples-" in (attributes["href"] or "")]
    assert f'<details id="{(link or "").removeprefix("#")}">' in page
    for said in ("Where methods answer differently", "Greedy answers of seed 3", "Only AFT is right (1)", "gold 1", "Question 2?"):
        assert said in elements.text


def test_without_a_baseline_or_answers_there_are_none() -> None:
    assert examples(results("aft", "rft"), greedy(aft="+-", rft="-+")) == {}
    assert examples(results("vft", "aft"), None) == {}
    assert "Where methods answer differently" not in render_comparison(results("vft", "aft"), {})


def test_that_methods_nowhere_differ_is_said() -> None:
    page = render_comparison(results("vft-steps", "aft"), {}, greedy(vft_steps="+-+", aft="+-+"))
    assert "Nowhere: on every question of seed 3 that “VFT, same steps” has right, all others are right" in Elements(page).text


def test_settings_and_models_are_on_the_page_and_nothing_else_is_explained() -> None:
    """With one seed there is no spread over seeds to explain, and without assessment accuracy nothing of it."""
    found = results("vft", "aft")
    runs = [{"method": name, "seed": 0, "folder": f"runs/own/seed-0/methods/{name}"} for name in ("vft", "aft")]
    given = {**found, "seeds": [0], "runs": runs, "settings": "sft:\n  num_epochs: 20\n"}
    text = Elements(render_comparison(given, {})).text
    assert "sft: num_epochs: 20" in text
    assert 'aftune try runs/own/seed-0/methods/aft -q "A question of your own"' in text
    assert "standard deviation over seeds" not in text
    assert "guessing gives" not in text
