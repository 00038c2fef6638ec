"""axe-core, the checker that browsers' own tools use, finds nothing on the pages: no contrast below 4.5:1, names and headings for
screen readers, landmarks."""

from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("page")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["page", "comparison_page"])
def test_axe_finds_nothing(name: str, scheme: str, request: pytest.FixtureRequest, open_page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    opened = open_page(request.getfixturevalue(name))
    opened.page.emulate_media(color_scheme=scheme)
    opened.page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
    found = axe.Axe().run(opened.page).response
    assert [(one["id"], one["impact"], one["nodes"][0]["html"][:120]) for one in found["violations"]] == []
    assert len(found["passes"]) > 20
