"""The page's script in a browser: filters, search, order, more, and the values of points in plots."""

from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("page")


def shown(opened: Any) -> list[str]:
    return [text.split("·")[1].strip() for text in opened.page.locator(".problem > .note").all_inner_texts()]


@pytest.fixture
def opened(page: str, open_page: Any) -> Any:
    found = open_page(page)
    found.page.wait_for_selector(".problem")
    return found


def test_filters_show_just_their_kind(opened: Any) -> None:
    kinds = {
        "VFT wrong, then right": ["test/1"],
        "VFT right, then wrong": ["test/2"],
        "wrong in all models": ["test/3", "test/4"],
        "cut off": ["test/4"],
        "all": [f"test/{place}" for place in range(5)],
    }
    for label, expected in kinds.items():
        opened.page.get_by_role("button", name=label).first.click()
        assert shown(opened) == expected
        assert opened.page.locator("[aria-pressed=true]").count() == 1
    assert opened.page.get_by_role("status").inner_text() == "5 of 5 questions shown"
    assert opened.events == []


def test_search_and_filter_together(opened: Any) -> None:
    opened.page.get_by_role("searchbox").fill("NUMBER 4")
    assert shown(opened) == ["test/4"]
    opened.page.get_by_role("button", name="VFT wrong, then right").click()
    assert shown(opened) == []
    assert opened.page.get_by_role("status").inner_text() == "0 of 0 questions shown"


def test_order_by_score_gap(opened: Any) -> None:
    """After alignment the gaps are 0.0792 (question 0) and 0.0279 (question 4); before, 0.0113 and -0.0111. The others have
    none."""
    for label, expected in {
        "smallest score gap first": ["test/4", "test/0"],
        "score gap widened most": ["test/0", "test/4"],
        "score gap narrowed most": ["test/4", "test/0"],
    }.items():
        opened.page.locator("#answers select").select_option(label=label)
        assert shown(opened) == [*expected, "test/1", "test/2", "test/3"]
    assert "score gap −0.0111 → +0.0279" in opened.page.locator(".problem").first.inner_text()


def test_models_answer_side_by_side(opened: Any) -> None:
    [second] = opened.page.locator(".problem").all()[1:2]
    assert [text.split("\n")[:2] for text in second.locator(".candidate").all_inner_texts()] == [
        ["base", "✗ wrong no answer"],
        ["VFT", "✗ wrong no answer"],
        ["VFT, same steps", "✗ wrong no answer"],
        ["AFT-BC", "✓ right answer 101, matched"],
    ]


def test_a_point_tells_its_value(opened: Any) -> None:
    point = opened.page.locator('[data-plot="accuracy"] [data-tip^="AFT-BC"]').last
    point.scroll_into_view_if_needed()
    point.hover()
    text = opened.page.locator(".tip").inner_text().replace("\N{NO-BREAK SPACE}", " ")
    assert text == "AFT-BC: 60.3 % (56.3 to 64.3), n = 600"
    opened.page.mouse.move(1, 1)
    assert opened.page.locator(".tip").is_hidden()
