"""Whatever models, users and files say, a page shows it as text and a browser does nothing else with it."""

from typing import Any

import pytest

from hostile_text import UNSEEN, shown
from html_page import policy

pytestmark = pytest.mark.xdist_group("page")

_LOOK = """() => ({
    pwned: window.pwned,
    elements: [...document.querySelectorAll(
        "script:not(body > script:last-of-type), iframe, object, embed, img, image, link, base, form, foreignObject, set")]
        .map(element => element.outerHTML),
    handlers: [...document.querySelectorAll("*")].flatMap(element => element.getAttributeNames())
        .filter(name => name.startsWith("on")),
    links: [...document.querySelectorAll("*")].flatMap(element => ["href", "xlink:href", "src", "action", "data"]
        .map(name => element.getAttribute(name))).filter(value => value !== null && !value.startsWith("#")),
    head: [...document.head.children].slice(0, 2).map(element => element.outerHTML),
})"""
_TEXT = """() => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    for (const part of document.querySelectorAll(".code, .commands code")) part.remove();
    return document.body.innerText;
}"""


def text_of(opened: Any) -> str:
    """All that there is to read, except the recipe and commands to type, which have escapes of their own."""
    opened.page.wait_for_function("!document.querySelector('[data-answers]') || document.querySelector('.problem')")
    return " ".join(opened.page.evaluate(_TEXT).split())


@pytest.mark.parametrize("name", ["run_page", "comparison_page"])
def test_the_browser_shows_the_page_and_does_nothing_else(name: str, request: pytest.FixtureRequest, open_page: Any) -> None:
    html = request.getfixturevalue(name)
    opened = open_page(html)
    found = opened.page.evaluate(_LOOK)
    assert found == {
        "pwned": None,
        "elements": [],
        "handlers": [],
        "links": [],
        "head": ['<meta charset="utf-8">', f'<meta http-equiv="Content-Security-Policy" content="{policy(html)}">'],
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
        *("Candidate 0.1 indented", "matched", "different", "Greedy 0", "no answer"),
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
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(page)}">'
    assert meta in attacked
    with_policy, without = open_page(attacked), open_page(attacked.replace(meta, ""))
    assert with_policy.page.evaluate("window.pwned") is None
    assert with_policy.page.evaluate("document.baseURI") == with_policy.page.url
    assert with_policy.sent == [with_policy.page.url]
    assert without.page.evaluate("window.pwned") == 1
    assert "http://a.example/x.css" in without.sent
