"""A finished stage that is made again: what it left stays until the end, and counts again if the settings are set back."""

import warnings
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune import losses
from aftune.common import durable
from aftune.common.errors import DataError, UsageError
from aftune.pipeline import runner, stage_functions
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import plan


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose stages only write down with which beta they ran, in a file of their own."""

    def stage(name: str) -> Any:
        def write(context: Context) -> dict[str, Any]:
            folder = context.folder(name)
            leaves = {"sft": "model", "align": "model", "control": "model"}.get(name)
            (folder / "beta").write_text(str(context.recipe.align.beta))
            for other in ("left_out.json", "candidates.jsonl", "groups.jsonl", "metrics.json"):
                (folder / other).write_text("x")
            if leaves:
                (folder / leaves).mkdir(exist_ok=True)
                (folder / leaves / "weights").write_text("x")
            if name == "report":
                for whole in ("report.html", "metrics.json"):
                    (context.run.path / whole).write_text("x")
            return {}

        return write

    monkeypatch.setattr(stage_functions, "FUNCTIONS", {name: stage(name) for name in stage_functions.FUNCTIONS})
    monkeypatch.setattr("aftune.pipeline.directory.claim.check_inputs", lambda *args: None)
    go(tmp_path / "run", 1.0)
    return tmp_path / "run"


def go(folder: Path, beta: float, **options: Any) -> list[str]:
    lines: list[str] = []
    runner.run_stages(small_run.recipe(folder, align={"beta": beta}), report=lines.append, **options)
    return lines


def states(folder: Path, beta: float) -> dict[str, str]:
    plans = plan(small_run.recipe(folder, align={"beta": beta}), RunDirectory(folder))
    return {item.stage.name: item.status for item in plans if item.status != "finished"}


def beta_of(folder: Path) -> str:
    return (folder / "beta").read_text()


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    """The stage writes its files and fails."""
    whole = stage_functions.FUNCTIONS[name]

    def fail(context: Context) -> dict[str, Any]:
        whole(context)
        raise error

    monkeypatch.setitem(stage_functions.FUNCTIONS, name, fail)


def test_the_old_folder_stays_until_the_new_one_is_complete(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, "align", DataError("of this test"))
        with pytest.raises(DataError, match="of this test"):
            go(run, 0.5)
    assert beta_of(run / "align") == "1.0"
    assert beta_of(run / "align.new") == "0.5"
    assert states(run, 0.5) == {"align": "resume", "evaluate": "redo", "report": "redo"}
    go(run, 0.5)
    assert beta_of(run / "align") == "0.5"
    assert not list(run.glob("*.new")) + list(run.glob("*.old"))
    assert states(run, 0.5) == {}


def test_set_back_the_old_result_counts_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is computed again but the report, which is never left in place while it is out of date."""
    with monkeypatch.context() as patch:
        failing(patch, "align", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            go(run, 0.5)
    assert states(run, 1.0) == {"report": "redo"}
    assert [line for line in go(run, 1.0) if "done" in line and not line.startswith("[bold]report")] == []
    assert beta_of(run / "align") == "1.0"
    assert not (run / "align.new").exists()
    assert states(run, 1.0) == {}


@pytest.mark.parametrize("calls", [1, 2])
def test_killed_between_two_names_nothing_is_lost(run: Path, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """The folders change their names one after the other; a kill after each is mended by the next run, of either setting."""
    rename, count = durable.rename, 0

    def killing(path: Path, new: Path) -> None:
        nonlocal count
        rename(path, new)
        if (path.is_relative_to(run) and path.name.startswith("align")) or new.name.startswith("align"):
            count += 1
            if count == calls:
                raise KeyboardInterrupt

    for beta, expected in ((0.5, "0.5"), (1.0, "1.0")):
        with monkeypatch.context() as patch:
            count = 0
            patch.setattr(durable, "rename", killing)
            with pytest.raises(KeyboardInterrupt):
                go(run, 0.5 if beta_of(run / "align") == "1.0" else 1.0)
        go(run, beta)
        assert beta_of(run / "align") == expected
        assert not list(run.glob("align.*"))
        assert states(run, beta) == {}


def test_redo_makes_a_stage_and_those_that_read_it_again(run: Path) -> None:
    done = [line for line in go(run, 1.0, redo=["align"]) if "[green]done" in line]
    assert [line.split("]")[1].split("[")[0].strip() for line in done] == ["align", "evaluate", "report"]
    assert all("[green]done" not in line for line in go(run, 1.0))
    with pytest.raises(UsageError, match="--redo algin: this recipe has no such stage; it has prepare, sft, sample, label, align"):
        go(run, 1.0, redo=["algin"])


def test_keep_going_runs_what_does_not_need_the_failed_stage(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        failing(patch, "align", DataError("of this test"))
        lines: list[str] = []
        with pytest.raises(DataError, match="of this test"):
            runner.run_stages(
                small_run.recipe(run, align={"beta": 0.5}, sft={"learning_rate": 2e-3}), report=lines.append, keep_going=True
            )
    assert states_of_manifest(run) == {"align": "running", "evaluate": "finished", "report": "finished"}
    assert any("align     [red]failed: of this test" in line for line in lines)
    assert any("evaluate  [yellow]not run: it needs align" in line for line in lines)
    assert any("control[/bold]" in line or "control  [/bold]" in line for line in lines if "done" in line)


def states_of_manifest(run: Path) -> dict[str, str]:
    entries = RunDirectory(run).manifest()["stages"]
    return {name: entries[name]["status"] for name in ("align", "evaluate", "report")}


def test_what_our_code_warns_of_is_kept(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the terminal at once, and in the manifest, where pages find it; once, though the stage warns of it twice."""
    whole = stage_functions.FUNCTIONS["align"]

    def warning(context: Context) -> dict[str, Any]:
        for _ in range(2):
            warnings.warn_explicit("out of memory, of this test", UserWarning, losses.__file__, 1, registry=seen)
        return whole(context) | {"warnings": ["another one"]}

    seen: dict[str, Any] = {}
    monkeypatch.setitem(stage_functions.FUNCTIONS, "align", warning)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        lines = go(run, 0.5)
    expected = ["out of memory, of this test", "another one"]
    assert RunDirectory(run).entry("align")["warnings"] == expected
    assert [line for line in lines if "warning" in line] == [f"align     [yellow]warning: {text}[/yellow]" for text in expected]
