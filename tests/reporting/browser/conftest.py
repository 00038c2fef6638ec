"""A headless Chromium, pages opened in it without any way out, and pages with hostile text everywhere."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import made_up_comparison as made_up
from aftune.recipe import Recipe
from aftune.reporting import ReportData, render_page
from aftune.reporting.comparison import render_comparison
from hostile_text import hostile, spoiled

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


@pytest.fixture(scope="session")
def run_page(data: ReportData) -> str:
    return render_page(spoiled(rich(data)))


@pytest.fixture(scope="session")
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
