"""The state of runs and comparisons: of real ones that are finished, under way in another process, killed, failed and changed."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import own_processes
import small_comparison
import small_run
from aftune.common import interrupts, progress_record
from aftune.common.errors import DataError, StageError, UsageError
from aftune.common.json_text import read_json
from aftune.pipeline import stage_functions
from aftune.pipeline.compare import runs
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.look import overview, places
from aftune.pipeline.look.states import ComparisonState, RunState, comparison_state, run_state, state_of
from aftune.pipeline.runner import run_stages
from aftune.training import AlignmentTrainer

pytestmark = pytest.mark.xdist_group("look")
STAGES = ["prepare", "sft", "sample", "label", "align", "control", "evaluate", "report"]


def states(found: RunState) -> dict[str, str]:
    return {stage.name: stage.state for stage in found.stages}


def run_and_hold(folder: Path, ready: Path) -> None:
    """Runs the recipe and stops, without ending, in the fifth step of `sft`; progress is written after every step."""
    progress_record._EVERY = 0.0

    def hold() -> None:
        ready.touch()
        time.sleep(300)

    AlignmentTrainer.training_step = small_run.after_calls(AlignmentTrainer.training_step, 5, hold)  # type: ignore[method-assign]
    run_stages(small_run.recipe(folder), report=lambda line: None)


def failing(error: BaseException) -> Callable[..., Any]:
    def stage(context: Any) -> Any:
        raise error

    return stage


def test_a_finished_run(small_finished_run: Path) -> None:
    found = run_state(small_finished_run)
    assert states(found) == dict.fromkeys(STAGES, "finished")
    assert (found.state, found.in_use, found.progress) == ("finished", False, None)
    assert found.recipe.title == "a small run"
    assert all(stage.seconds is not None and stage.seconds > 0 for stage in found.stages)
    assert not (small_finished_run / "progress.json").exists()


def test_a_run_under_way_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    folder, ready = tmp_path / "run", tmp_path / "ready"
    process = own_processes.start(run_and_hold, folder, ready)
    try:
        for _ in range(600):
            if ready.exists() or not process.is_alive():
                break
            time.sleep(0.1)
        assert ready.exists()
        found = run_state(folder)
        assert states(found) == {"prepare": "finished", "sft": "running"} | dict.fromkeys(STAGES[2:], "to do")
        assert (found.state, found.in_use) == ("running", True)
        assert found.progress is not None
        assert (found.progress.stage, found.progress.done, found.progress.total, found.progress.unit) == ("sft", 4, 6, "steps")
        with pytest.raises(StageError, match="another aftune process is using"):
            run_stages(small_run.recipe(folder), report=lambda line: None)
        assert run_state(folder).state == "running"
    finally:
        os.kill(int(process.pid or 0), signal.SIGKILL)
        process.join()
    found = run_state(folder)
    assert states(found) == {"prepare": "finished", "sft": "killed"} | dict.fromkeys(STAGES[2:], "to do")
    assert (found.state, found.in_use) == ("killed", False)
    assert found.progress is not None
    assert found.progress.done == 4
    run_stages(small_run.recipe(folder), only="prepare", report=lambda line: None)
    assert not (folder / "progress.json").exists()


def test_looking_keeps_no_run_out(tmp_path: Path) -> None:
    """Another look holds the lock for a moment, shared; a run that begins just then waits for it."""
    import fcntl

    run = RunDirectory(tmp_path)
    run.create()
    with open(tmp_path / ".lock") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        assert not run.in_use()
        with pytest.raises(StageError), run.locked():
            pass
    with run.locked():
        assert run.in_use()
    assert not run.in_use()


@pytest.mark.parametrize(
    ("error", "state", "why"),
    [
        (DataError("[red]no[/red] data"), "failed", "[red]no[/red] data"),
        (interrupts.Interrupted(signal.SIGTERM), "interrupted", "SIGTERM"),
    ],
)
def test_a_run_that_ended_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, state: str, why: str
) -> None:
    monkeypatch.setitem(stage_functions.FUNCTIONS, "sft", failing(error))
    with pytest.raises(type(error)):
        run_stages(small_run.recipe(tmp_path), report=lambda line: None)
    found = run_state(tmp_path)
    assert states(found) == {"prepare": "finished", "sft": state} | dict.fromkeys(STAGES[2:], "to do")
    assert (found.state, found.stages[1].why) == (state, why)
    # What it says of its end goes when it is begun again.
    monkeypatch.setitem(stage_functions.FUNCTIONS, "sft", lambda context: {})
    run_stages(small_run.recipe(tmp_path), only="sft", report=lambda line: None)
    assert "ended" not in RunDirectory(tmp_path).entry("sft")


def test_a_changed_recipe_makes_stages_to_do_again(tmp_path: Path) -> None:
    small_run.finish_all(small_run.recipe(tmp_path))
    RunDirectory(tmp_path).write_recipe(small_run.recipe(tmp_path, align={"beta": 0.5}))
    found = run_state(tmp_path)
    finished = ("prepare", "sft", "sample", "label", "control")
    assert states(found) == {name: "finished" if name in finished else "again" for name in STAGES}
    assert next(stage.why for stage in found.stages if stage.name == "align") == "align.beta: 0.15 -> 0.5"
    assert found.state == "unfinished"


def test_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two seeds only one was begun; one of its methods failed when it was measured."""

    def align(context: Any) -> dict[str, Any]:
        (context.folder("align") / "model").mkdir()
        return {}

    def measure(context: Any) -> dict[str, Any]:
        if context.run.path.name != "vft":
            raise DataError("no groups")
        (context.folder("measure") / "metrics.json").write_text("{}")
        return {}

    monkeypatch.setitem(stage_functions.FUNCTIONS, "align", align)
    monkeypatch.setitem(stage_functions.FUNCTIONS, "measure", measure)
    folder = tmp_path / "compared"
    evaluate = {"num_votes": 0, "num_candidates": 2}
    wanted = runs.comparison(small_comparison.recipe(folder, evaluate=evaluate), ["vft", "aft-bc:beta=0.3"], 1)
    failures = runs.run(wanted, 1, lambda line: None)
    assert [failure.message for failure in failures] == ["no groups"]
    text = (folder / "recipe.yaml").read_text()
    assert "- aft-bc:beta=0.3" in text
    (folder / "recipe.yaml").write_text(text.replace("num_seeds: 1", "num_seeds: 2"))
    found = state_of(folder)
    assert isinstance(found, ComparisonState)
    said = {seed: {name: run and run.state for name, run in own.items()} for seed, own in found.runs.items()}
    assert said == {
        0: {"shared": "finished", "vft": "finished", "aft-bc:beta=0.3": "failed"},
        1: {"shared": None, "vft": None, "aft-bc:beta=0.3": None},
    }
    assert found.state == "failed"
    assert states(run_state(folder / "seed-0" / "methods" / "aft-bc,beta=0.3")) == {"align": "finished", "measure": "failed"}
    assert list(states(run_state(folder / "seed-0"))) == ["prepare", "sft", "sample", "label", "held_out"]
    assert [row.path for row in overview.runs_below(tmp_path)] == [folder]
    (folder / "recipe.yaml").unlink()  # an earlier aftune wrote none
    assert {seed: list(own) for seed, own in comparison_state(folder).runs.items()} == {0: ["shared", "aft-bc:beta=0.3", "vft"]}


def test_a_comparison_that_came_to_nothing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.runner, "run_stages", failing(DataError("no data")))
    wanted = runs.comparison(small_comparison.recipe(tmp_path / "new" / "compared"), ["vft"], 1)
    monkeypatch.setattr(runs, "_run", lambda *args: failing(DataError("no data"))(None))
    assert [failure.message for failure in runs.run(wanted, 1, lambda line: None)] == ["no data"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"is no run, since recipe\.yaml and manifest\.json are missing"):
        state_of(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        state_of(tmp_path / "missing")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="runs: no such folder here"):
        state_of(None)


def test_the_newest_run_is_the_one_that_did_something_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs lie at any depth; folders named seed-N beside each other are no comparison by that alone."""
    monkeypatch.chdir(tmp_path)
    for place, name in enumerate(("deep/er/one", "seed-1", "seed-0", ".hidden/other")):
        folder = Path("runs") / name
        small_run.finish_all(small_run.recipe(folder))
        RunDirectory(folder).write_recipe(small_run.recipe(folder))
        for file in folder.rglob("*"):
            os.utime(file, (1000 + 10 * place, 1000 + 10 * place))
    assert [path.as_posix() for path in places.below(Path("runs"))] == ["runs/seed-0", "runs/seed-1", "runs/deep/er/one"]
    assert state_of(None).path == Path("runs/seed-0")
    os.utime("runs/deep/er/one/manifest.json", (5000, 5000))
    assert state_of(None).path == Path("runs/deep/er/one")


def test_the_overview_has_the_figures_and_what_cannot_be_read(small_finished_run: Path, tmp_path: Path) -> None:
    runs_folder = tmp_path / "runs"
    shutil.copytree(small_finished_run, runs_folder / "good")
    shutil.copytree(small_finished_run, runs_folder / "bad")
    (runs_folder / "bad" / "manifest.json").write_text("{")
    rows = {row.path.name: row for row in overview.runs_below(runs_folder)}
    good, bad = rows["good"], rows["bad"]
    results = read_json(small_finished_run / "metrics.json")["results"]
    assert good.figures.accuracy == {key: results[key]["accuracy"] for key in ("base", "vft", "aligned")}
    assert good.figures.assessment == results["aligned"]["assessment_accuracy"]
    assert (good.name, good.task, good.model, good.method, good.state) == (
        "a small run",
        "arithmetic",
        "bundled",
        "AFT-BC",
        "finished",
    )
    assert (bad.name, bad.state) == ("bad", "?")
    assert "manifest.json: cannot be read" in bad.trouble
    with pytest.raises(UsageError, match="holds no run"):
        overview.runs_below(small_finished_run / "label")
