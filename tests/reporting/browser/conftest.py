"""A headless Chromium, and pages opened in it without any way out."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@dataclass
class Opened:
    """A page in the browser. requests: the addresses that it asked for, also in vain; sent: those that its policy let through.
    events: dialogs, messages of the console and errors."""

    page: Any
    requests: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        pytest.skip(f"there is no browser: none of {', '.join(_BROWSERS)} is in PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens an HTML text as a file: `open_page(html, width=390)`. All requests but the one for the file are refused."""
    contexts = []

    def answer(route: Any, own: str, sent: list[str]) -> None:
        sent.append(route.request.url)
        if route.request.url == own:
            route.continue_()
        else:
            route.abort()

    def opened(html: str, width: int = 1280, height: int = 800) -> Opened:
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        context = chromium.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        made = Opened(context.new_page())
        context.route("**/*", lambda route: answer(route, path.as_uri(), made.sent))
        made.page.on("request", lambda request: made.requests.append(request.url))
        made.page.on("console", lambda message: made.events.append(message.text))
        made.page.on("pageerror", lambda error: made.events.append(str(error)))
        made.page.on("dialog", lambda dialog: (made.events.append(dialog.message), dialog.dismiss()))
        made.page.goto(path.as_uri())
        return made

    yield opened
    for context in contexts:
        context.close()
