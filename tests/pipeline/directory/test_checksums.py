"""The files of finished stages: damage is found before a stage reads it, and named by `aftune verify`."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import small_run
from aftune.cli.main import app
from aftune.common.checksums import LIST
from aftune.common.errors import StageError
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import plan


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A run of which `prepare` is finished."""
    runner.run_stages(small_run.recipe(tmp_path / "run"), only="prepare", report=lambda line: None)
    return tmp_path / "run"


def verify(path: Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", str(path)])
    return done.exit_code, done.output


def run_next(path: Path) -> Any:
    return runner.run_stages(small_run.recipe(path), only="sft", report=lambda line: None)


def test_the_list_is_one_of_sha256sum(prepared: Path) -> None:
    done = subprocess.run(["sha256sum", "--check", "--strict", LIST], cwd=prepared / "prepare", capture_output=True, text=True)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    assert verify(prepared) == (0, f"{prepared / 'prepare'} as written  4 files\n4 files as written\n")


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl", "left_out.json", LIST])
def test_a_changed_bit_is_found_before_the_file_is_read(prepared: Path, name: str) -> None:
    path = prepared / "prepare" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, said = verify(prepared)
    assert status == 1
    assert f"{path}: is not what was written" in said
    with pytest.raises(StageError, match=rf"^sft: .*{name}: is not what was written.*remove .*prepare to make it again"):
        run_next(prepared)
    assert "sft" not in RunDirectory(prepared).manifest()["stages"]


def test_a_file_that_is_gone_redoes_its_stage(prepared: Path) -> None:
    (prepared / "prepare" / "validation.jsonl").unlink()
    status, said = verify(prepared)
    assert (status, "validation.jsonl: is gone" in said) == (1, True)
    first = plan(small_run.recipe(prepared), RunDirectory(prepared))[0]
    assert (first.status, first.reason) == ("redo", "prepare/validation.jsonl is gone")


def test_files_of_others_are_named_and_do_no_harm(prepared: Path) -> None:
    (prepared / "prepare" / "notes.txt").write_text("mine")
    status, said = verify(prepared)
    assert status == 0
    assert "notes.txt: not of this stage" in said


def test_a_stage_of_an_earlier_aftune_is_taken_as_it_is(prepared: Path) -> None:
    run = RunDirectory(prepared)
    manifest = run.manifest()
    del manifest["stages"]["prepare"]["files"]
    (prepared / "manifest.json").write_text(json.dumps(manifest))
    assert verify(prepared)[0] == 0
    assert plan(small_run.recipe(prepared), run)[0].status == "finished"


def test_a_manifest_that_was_changed_is_refused(prepared: Path) -> None:
    path = prepared / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1', 1))
    with pytest.raises(StageError, match=r"manifest\.json: is not what aftune wrote; put it back, or remove it"):
        RunDirectory(prepared).manifest()
    assert verify(prepared)[0] == 1


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    status, said = verify(tmp_path)
    assert status == 2
    assert "holds no finished stage of a run" in said
