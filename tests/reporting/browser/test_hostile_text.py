"""Whatever models, users and files say, a page shows it as text and a browser does nothing else with it."""

from dataclasses import replace
from typing import Any

import pytest

import made_up_comparison as made_up
from aftune.recipe import Recipe
from aftune.reporting import ReportData, render_page
from aftune.reporting.comparison import render_comparison
from hostile_text import UNSEEN, hostile, shown, spoiled

pytestmark = pytest.mark.xdist_group("page")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_LOOK = """() => ({
    pwned: window.pwned,
    elements: [...document.querySelectorAll("script, iframe, object, embed, img, image, link, base, form, foreignObject, set")]
        .map(element => element.outerHTML),
    handlers: [...document.querySelectorAll("*")].flatMap(element => element.getAttributeNames())
        .filter(name => name.startsWith("on")),
    links: [...document.querySelectorAll("*")].flatMap(element => ["href", "xlink:href", "src", "action", "data"]
        .map(name => element.getAttribute(name))).filter(value => value !== null && !value.startsWith("#")),
    head: [...document.head.children].slice(0, 2).map(element => element.outerHTML),
})"""
_TEXT = """() => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    document.querySelector(".code")?.remove();
    return document.body.innerText;
}"""


def text_of(opened: Any) -> str:
    """All that there is to read, except the recipe, whose YAML has escapes of its own."""
    return " ".join(opened.page.evaluate(_TEXT).split())


def rich(data: ReportData) -> ReportData:
    """The made-up run with what only some runs have. Keys that users choose are hostile here, all other text is as usual."""
    task, model, source, stage = (hostile(f"my {what}") for what in ("task", "model", "source", "stage"))
    results = {
        name: {**result, "accuracy_by_task": {task: 0.5, "other": 0.25}, "accuracy_by_num_operations": {"3": 0.5, task: 0.25}}
        for name, result in data.metrics["results"].items()
    }
    results[model] = results["base"]
    label = data.stages["label"]
    summary = {**label["summary"], f"from_{source}": 30, f"right_from_{source}": 20}
    problem = data.groups[0].problem.model_copy(update={"options": ["an option", "another option"]})
    return replace(
        data,
        recipe=Recipe.model_validate(
            {
                "run_dir": "runs/made-up",
                "model": {"name": "models/mine"},
                "adapter": {"kind": "lora", "targets": ["q_proj", "v_proj"]},
                "sample": {"sources": [{"name": "large", "model": "models/large"}], "engine": {"kind": "vllm"}},
                "prompt": {"system": "Be brief."},
            }
        ),
        stages={
            **data.stages,
            "label": {**label, "summary": summary, "warnings": ["A warning."]},
            stage: {"seconds": 3.0, "warnings": ["Another warning."]},
        },
        metrics={**data.metrics, "results": results},
        versions={**data.versions, hostile("my package"): "1"},
        groups=[data.groups[0].model_copy(update={"problem": problem}), *data.groups[1:]],
    )


@pytest.fixture(scope="module")
def run_page(data: ReportData) -> str:
    return render_page(spoiled(rich(data)))


@pytest.fixture(scope="module")
def comparison_page() -> str:
    """Names of losses and constraints stay: a comparison refuses unknown ones, and colours and markers go by them."""
    results, logs = made_up.full(["vft", "vft-steps", "rft", "dpo", "aft-bc", "aft-bc:beta=0.3", "aft-bc:k=2"], (0, 1))
    for method in results["methods"]:
        method["metrics"][f"accuracy.{hostile('my task')}"] = made_up.summary([0.5, 0.25])
    results["methods"].append(made_up.method("pro", metrics={}))
    results["warnings"] = [{"where": f"place {number}", "text": f"Warning {number}."} for number in range(5)]
    return render_comparison(
        spoiled(results, keep=frozenset({"loss", "constraint"})),
        {(hostile(name), seed): log for (name, seed), log in logs.items()},
    )


@pytest.mark.parametrize("name", ["run_page", "comparison_page"])
def test_the_browser_shows_the_page_and_does_nothing_else(name: str, request: pytest.FixtureRequest, open_page: Any) -> None:
    opened = open_page(request.getfixturevalue(name))
    found = opened.page.evaluate(_LOOK)
    assert found == {
        "pwned": None,
        "elements": [],
        "handlers": [],
        "links": [],
        "head": ['<meta charset="utf-8">', f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'],
    }
    assert opened.requests == opened.sent == [opened.page.url]
    assert opened.events == []
    assert [hex(ord(character)) for character in UNSEEN if character in opened.page.content()] == []
    parts = text_of(opened).split(" [end]")[:-1]
    assert len(parts) > 30
    assert [part for part in parts if not f"{part} [end]".endswith(shown(""))] == []


def test_every_text_of_a_run_is_there_to_read(run_page: str, open_page: Any) -> None:
    text = text_of(open_page(run_page))
    for said in (
        *("arithmetic", "models/mine", "q_proj", "9.8.7", "my package", "3.11.7", "Linux", "my stage", "my model"),
        *("A warning.", "Another warning.", "my task", "my source", "train", "train/5: the same question is in test"),
        *("test/0", "Question number 0?", "an option", "another option", "Reference number 0 #### 100", "101"),
        *("Candidate 0.1 indented", "matched", "different"),
    ):
        assert shown(said) in text, said


def test_every_text_of_a_comparison_is_there_to_read(comparison_page: str, open_page: Any) -> None:
    text = text_of(open_page(comparison_page))
    for said in ("arithmetic", "bundled", "VFT", "AFT-BC", "AFT-BC, beta 0.3", "RFT", "PRO", "my task", "place 4", "Warning 4."):
        assert shown(said) in text, said


def test_the_policy_stops_what_would_get_through(page: str, open_page: Any) -> None:
    """A copy of a page with a script, handlers, a style sheet and a picture: its policy stops all of them. Without it they work,
    which shows that the test would notice."""
    attack = (
        "<body><script>window.pwned=1</script><svg onload='window.pwned=1'></svg><img src='x.png' onerror='window.pwned=1'>"
        "<link rel='stylesheet' href='http://a.example/x.css'><base href='http://a.example/'>"
    )
    attacked = page.replace("<body>", attack)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    assert policy in attacked
    with_policy, without = open_page(attacked), open_page(attacked.replace(policy, ""))
    assert with_policy.page.evaluate("window.pwned") is None
    assert with_policy.page.evaluate("document.baseURI") == with_policy.page.url
    assert with_policy.sent == [with_policy.page.url]
    assert without.page.evaluate("window.pwned") == 1
    assert "http://a.example/x.css" in without.sent


_OVERFLOWS = """() => [document.documentElement, ...document.querySelectorAll("th, td, dd, li, .text, .warning, summary")]
    .filter(element => element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline")
    .map(element => element.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("name", ["page", "run_page", "comparison_page"])
@pytest.mark.parametrize("width", [390, 1280])
def test_long_words_and_names_stay_in_their_boxes(name: str, width: int, request: pytest.FixtureRequest, open_page: Any) -> None:
    """On a phone and on a desktop: the page does not scroll sideways, and no cell covers its neighbour."""
    opened = open_page(request.getfixturevalue(name), width=width)
    assert opened.page.evaluate(_OVERFLOWS) == []


def test_names_of_models_stay_in_one_line(page: str, open_page: Any) -> None:
    """The longest usual one is beside `base`; rows of both are equally high."""
    opened = open_page(page, width=390)
    heights = opened.page.evaluate('[...document.querySelectorAll("#results tbody tr")].slice(0, 4).map(row => row.offsetHeight)')
    assert len(set(heights)) == 1


def test_closed_parts_are_printed(page: str, open_page: Any) -> None:
    opened = open_page(page)
    for media, printed in (("screen", False), ("print", True)):
        opened.page.emulate_media(media=media)
        shown_parts = opened.page.evaluate(
            '[...document.querySelectorAll("details")].map(part => part.offsetHeight > 2 * part.firstElementChild.offsetHeight)'
        )
        assert shown_parts == [part == 2 or printed for part in range(len(shown_parts))]  # the first group is open
