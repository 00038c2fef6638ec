"""How pages are laid out in a browser: on a phone, on a desktop, on paper."""

from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("page")

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
        opened.page.wait_for_selector(".problem")
        shown_parts = opened.page.evaluate(
            '[...document.querySelectorAll("details")].map(part => part.offsetHeight > 2 * part.firstElementChild.offsetHeight)'
        )
        first = opened.page.evaluate('[...document.querySelectorAll("details")].findIndex(part => part.closest("#groups"))')
        assert shown_parts == [part == first or printed for part in range(len(shown_parts))]  # the first group is open
