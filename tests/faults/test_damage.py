"""Damage of every kind of file that a run leaves or has under way is found and named; no wrong figure comes of it."""

import json
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import own_processes
import small_run
from aftune.common.errors import AftuneError, DataError, StageError
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.verify import verify

pytestmark = pytest.mark.xdist_group("damage")  # its fixtures are slow to make, so one process runs it all

SHORT: dict[str, Any] = {"align": {"num_epochs": 1}, "control": {"enabled": False}, "evaluate": {"num_votes": 1}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage") / "run"
    go(folder)
    return folder


def go(folder: Path, **sections: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    runner.run_stages(small_run.recipe(folder, **{**SHORT, **sections}), report=lines.append)
    return lines


def figures(folder: Path) -> Any:
    return json.loads((folder / "metrics.json").read_text())["results"]


def flip(path: Path, place: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 4
    path.write_bytes(content)


def started(finished: Path, folder: Path, stage: str) -> Path:
    """A run that has come as far as a stage."""
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("*.html"))
    manifest = RunDirectory(folder).manifest()
    names = list(manifest["stages"])
    for later in names[names.index(stage) :]:
        del manifest["stages"][later]
        shutil.rmtree(folder / later)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def broken_off(folder: Path, stage: str, calls: int) -> None:
    """Killed in a stage after so many steps or blocks."""
    assert own_processes.exit_status(go_and_kill, folder, stage, calls) == -signal.SIGKILL


def go_and_kill(folder: Path, stage: str, calls: int) -> None:
    small_run.kill_at(stage, calls, lambda run, name: name)
    go(folder)


def test_a_flipped_bit_in_any_file_is_named(finished: Path) -> None:
    """Each in turn, and put back."""
    files = [path for path in sorted(finished.rglob("*")) if path.is_file() and path.stat().st_size]
    skipped = ("recipe.yaml", ".lock", "README.md")  # written by each run; without content; for people
    files = [path for path in files if path.name not in skipped]
    assert {path.suffix for path in files} >= {".jsonl", ".json", ".safetensors", ".html", ""}
    assert len(files) > 30
    for path in files:
        content = path.read_bytes()
        flip(path)
        try:
            named = [text for _, found in verify(finished) for text in found.differences]
        except AftuneError as error:
            named = [str(error)]
        assert [text for text in named if path.name in text], path
        path.write_bytes(content)
    assert not [text for _, found in verify(finished) for text in found.differences]


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("sft/model/model.safetensors", {"evaluate": {"num_votes": 2}}),
        ("prepare/test.jsonl", {"evaluate": {"num_votes": 2}}),
        ("label/groups.jsonl", {"align": {"num_epochs": 1, "beta": 0.9}}),
        ("sample/candidates.jsonl", {"label": {"reading": "flexible"}}),
        ("evaluate/metrics.json", {"report": {"num_groups": 2}}),
    ],
)
def test_nothing_is_made_of_damaged_files(finished: Path, tmp_path: Path, name: str, sections: dict[str, Any]) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    flip(folder / name)
    before = RunDirectory(folder).manifest()["stages"]
    with pytest.raises(StageError, match=rf"{Path(name).name}: is not what was written; the disk or another program has"):
        go(folder, **sections)
    after = RunDirectory(folder).manifest()["stages"]
    assert [name for name in after if after[name] != before.get(name)] == []


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_a_damaged_checkpoint_is_removed_and_the_one_before_goes_on(finished: Path, tmp_path: Path, name: str) -> None:
    """Killed in the second epoch of VFT; without its only checkpoint it begins anew. The figures are those of the unbroken run."""
    folder = started(finished, tmp_path / "run", "sft")
    broken_off(folder, "sft", 4)
    (checkpoint,) = (folder / "sft" / "checkpoints").glob("checkpoint-*")
    flip(checkpoint / name)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        runner.run_stages(small_run.recipe(folder, **SHORT), only="sft", report=lambda line: None)
    (warning,) = RunDirectory(folder).entry("sft")["warnings"]
    assert warning.startswith(f"{checkpoint / name}: is not what was written; this checkpoint was removed")
    ours, theirs = ((path / "sft" / "model" / "model.safetensors").read_bytes() for path in (folder, finished))
    assert ours == theirs


@pytest.mark.parametrize(
    ("stage", "calls", "name"),
    [("sample", 1, "sample/candidates.jsonl"), ("evaluate", 4, "evaluate/base/verdicts.jsonl")],
)
def test_damage_of_what_is_under_way(finished: Path, tmp_path: Path, stage: str, calls: int, name: str) -> None:
    """The message says what to do; done, the figures are those of the unbroken run."""
    folder = started(finished, tmp_path / "run", stage)
    broken_off(folder, stage, calls)
    flip(folder / name, 0.3)
    with pytest.raises(DataError, match=r"bytes \d+ to \d+ are not what was written.*remove it to make it again"):
        go(folder)
    (folder / name).unlink()
    go(folder)
    assert figures(folder) == figures(finished)


def test_a_clock_that_jumps_back_changes_nothing(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back each time that somebody asks for the time of day."""
    now = [2e9]

    def back() -> float:
        now[0] -= 3600
        return now[0]

    monkeypatch.setattr("time.time", back)
    folder = started(finished, tmp_path / "run", "sft")
    runner.run_stages(small_run.recipe(folder, **SHORT), only="sft", report=lambda line: None)
    ours, theirs = ((path / "sft" / "model" / "model.safetensors").read_bytes() for path in (folder, finished))
    assert ours == theirs


@pytest.mark.parametrize("place", ["", "sample"])
def test_a_folder_that_cannot_be_written_to(finished: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system's answer is made up."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    refuse_below(folder / place, monkeypatch)
    with pytest.raises((StageError, PermissionError), match=r"cannot be written to|Permission denied"):
        go(folder, sample={"temperature": 0.9})
    candidates = "sample/candidates.jsonl"
    assert (folder / candidates).read_bytes() == (finished / candidates).read_bytes()


def refuse_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Path, *args: Any, **kwargs: Any) -> Any:
            if self.is_relative_to(folder) or str(self).startswith(f"{folder}."):
                raise PermissionError(13, "Permission denied", str(self))
            return function(self, *args, **kwargs)

        return call

    for name in ("mkdir", "touch", "rename", "replace", "unlink"):
        monkeypatch.setattr(Path, name, guarded(getattr(Path, name)))
