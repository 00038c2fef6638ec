"""The recipes that come with aftune, by name."""

import re
from pathlib import Path

import pytest

from aftune.common.errors import UsageError
from aftune.recipe import find_recipe, load_recipe, shipped_recipes


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_name_is_found_from_any_folder() -> None:
    assert load_recipe(Path("quickstart"), ["seed=3"]).run_dir == Path("runs/quickstart")
    assert load_recipe(Path("compare-small.yaml")).run_dir == Path("runs/compare-small")


def test_a_file_here_comes_first() -> None:
    Path("quickstart").mkdir()
    assert find_recipe(Path("quickstart")).is_file()  # a folder is no recipe
    Path("quickstart.yaml").write_text("run_dir: mine\n")
    assert load_recipe(Path("quickstart.yaml")).run_dir == Path("mine")
    assert load_recipe(Path("quickstart")).run_dir == Path("runs/quickstart")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "quickstrt",
            "no such recipe file; did you mean quickstart, which comes with aftune? `aftune recipes` lists all",
        ),
        ("recipes/gsm8k-tiny.yaml", "did you mean gsm8k-tiny, which comes with aftune"),
        ("own.yaml", "own.yaml: no such recipe file; `aftune recipes` lists the ready ones"),
    ],
)
def test_what_is_not_there(path: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        load_recipe(Path(path))


def test_each_says_what_it_needs() -> None:
    """The extras that it says are those that its first lines install, and what it names as model is in the recipe."""
    known = {recipe.name: recipe for recipe in shipped_recipes()}
    assert {name for name, recipe in known.items() if recipe.command == "compare"} == {
        "compare",
        "compare-newer",
        "compare-ranking",
        "compare-real",
        "compare-settings",
        "compare-small",
    }
    for name, recipe in known.items():
        text = find_recipe(Path(name)).read_text(encoding="utf-8")
        installed = set(re.findall(r"\w+", " ".join(re.findall(r"'\.\[(.*?)\]'", text))))
        assert installed == {extra for extra in ("hub", "peft", "qlora", "trl") if re.search(rf"\b{extra}\b", recipe.needs)}, name
        assert recipe.model == load_recipe(Path(name)).model.name
        assert recipe.what
        assert recipe.time
    assert known["quickstart"].needs == "nothing"
    assert known["quickstart"].time.startswith("about three and a half minutes")
