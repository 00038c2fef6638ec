"""Whose a run directory is: a refused command leaves none, another recipe's run stays, and nothing old looks current."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import small_run
from aftune.cli.main import app
from aftune.common.errors import DataError, UsageError
from aftune.common.json_text import write_json
from aftune.pipeline import runner
from aftune.pipeline.compare import runs
from aftune.pipeline.directory.run_directory import RunDirectory

GSM8K = {"task.name": "gsm8k", "task.options": "{}", "task.train": "train[:1]", "task.validation": "train[1:]", "task.test": "test"}


@pytest.fixture
def recipe_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"run_dir": "runs/deep/run", **small_run.SETTINGS}))
    data = tmp_path / "data"
    data.mkdir()
    row = {"question": "why " * 2000, "answer": "#### 1"}
    for split in ("train", "test"):
        (data / f"{split}.jsonl").write_text(json.dumps(row | {"question": split}) + "\n" + json.dumps(row) + "\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "test.jsonl").write_text('{"question": "q"}\n')
    return path


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code in (1, 2), result.output
    return result.stderr


@pytest.mark.parametrize("command", ["run", "prepare", "compare"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sft.learning_rat": 1}, "unknown key 'sft.learning_rat'"),
        ({**GSM8K, "data": "nowhere"}, "data: nowhere: no such file or folder; check the path"),
        ({**GSM8K, "data": "bad"}, 'bad/test.jsonl:1: expected an object with the texts "question" and "answer"'),
        ({**GSM8K, "data": "data"}, "gsm8k/test/1: the question has"),  # only the stage itself finds that
        ({"model.name": "./nowhere"}, "holds no model (config.json is missing)"),
        ({"model.revision": "v1"}, "model.revision: is 'v1', but model.name 'bundled' is on this machine"),
    ],
)
def test_a_refused_command_leaves_nothing(
    recipe_file: Path, tmp_path: Path, command: str, settings: dict[str, Any], message: str
) -> None:
    before = sorted(tmp_path.iterdir())
    more = ["--methods", "vft"] if command == "compare" else []
    assert message in refused(command, str(recipe_file), *(f"{key}={value}" for key, value in settings.items()), *more)
    assert sorted(tmp_path.iterdir()) == before


def test_a_refused_benchmark_leaves_nothing(recipe_file: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    message = refused("benchmark", "bundled", "gsm8k", "data=data", "--out", "out/deep")
    assert "gsm8k/test/1: the question has" in message
    assert sorted(tmp_path.iterdir()) == before


def test_missing_candidates_leave_nothing(recipe_file: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    message = refused("run", str(recipe_file), "candidates={format: json_lines, path: typo.jsonl}")
    assert "candidates.path: typo.jsonl: no such file or folder" in message
    assert sorted(tmp_path.iterdir()) == before


def test_what_was_there_before_stays(recipe_file: Path, tmp_path: Path) -> None:
    """Somebody's folder, and a run of which a stage is finished."""
    folder = tmp_path / "runs" / "deep" / "run"
    folder.mkdir(parents=True)
    refused("run", str(recipe_file), *(f"{key}={value}" for key, value in GSM8K.items()), "data=data")
    assert folder.is_dir()
    shutil.rmtree(tmp_path / "runs")
    assert CliRunner().invoke(app, ["prepare", str(recipe_file)]).exit_code == 0
    before = (folder / "manifest.json").read_text()
    refused("run", str(recipe_file), *(f"{key}={value}" for key, value in GSM8K.items()), "data=nowhere")
    assert (folder / "manifest.json").read_text() == before
    assert (folder / "prepare" / "train.jsonl").exists()


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A run directory in which the first stage is finished, and something of somebody else lies."""
    folder = tmp_path / "run"
    runner.run_stages(small_run.recipe(folder), only="prepare", report=lambda line: None)
    (folder / "notes.txt").write_text("mine")
    (folder / "report.html").write_text("page")
    (folder / "metrics.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("sections", "changes"),
    [
        ({"seed": 1}, r"seed: 0 -> 1"),
        ({"task": {"name": "sequences"}}, r"task\.name: arithmetic -> sequences"),
        ({"task": {"name": "sequences"}, "seed": 2}, r"task\.name: arithmetic -> sequences, seed: 0 -> 2"),
    ],
)
def test_another_recipe_is_refused_or_replaces_the_run(prepared: Path, sections: dict[str, Any], changes: str) -> None:
    recipe = small_run.recipe(prepared, **{key: value for key, value in sections.items() if key != "seed"})
    recipe = recipe.model_copy(update={"seed": sections.get("seed", 0)})
    before = {path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()}
    with pytest.raises(
        UsageError, match=rf"run_dir: \S+ holds the run of another recipe \({changes}\); choose another folder with"
    ):
        runner.run_stages(recipe, only="prepare", report=lambda line: None)
    assert {path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()} == before
    lines: list[str] = []
    (prepared / "methods").mkdir()
    runner.run_stages(recipe, only="prepare", report=lines.append, overwrite=True)
    assert "was removed" in lines[0]
    assert sorted(path.name for path in prepared.iterdir()) == [".lock", "manifest.json", "notes.txt", "prepare", "recipe.yaml"]
    assert RunDirectory(prepared).recipe_values()["seed"] == recipe.seed


@pytest.mark.parametrize(
    "sections",
    [{"align": {"beta": 0.3}}, {"task": {"test": "test[:13]"}}, {"task": {"skip_too_long": True}}, {"prompt": {"style": "alpaca"}}],
)
def test_a_changed_setting_goes_on_in_the_same_directory(prepared: Path, sections: dict[str, Any]) -> None:
    recipe = small_run.recipe(prepared, **sections)
    runner.run_stages(recipe, only="prepare", report=lambda line: None)
    assert RunDirectory(prepared).entry("prepare")["status"] == "finished"
    assert not (prepared / "report.html").exists()  # of the settings before
    assert not (prepared / "metrics.json").exists()


def test_a_comparison_asks_too(tmp_path: Path) -> None:
    """Before any of its runs; results of settings that have changed go, those to which a method is added stay."""

    def wanted(*methods: str, **sections: Any) -> runs.Comparison:
        return runs.comparison(small_run.recipe(tmp_path / "c", **sections), methods)

    shared = wanted("vft").shared(0)
    runner.run_stages(shared.recipe, only="prepare", report=lambda line: None, stages=shared.stages)
    page = tmp_path / "c" / "compare.html"
    page.write_text("page")
    runs.make_room(wanted("vft", "aft"), overwrite=False)
    assert page.exists()
    runs.make_room(wanted("vft", task={"test": "test[:13]"}), overwrite=False)
    assert not page.exists()
    other = wanted("vft", task={"name": "sequences"})
    with pytest.raises(UsageError, match=r"seed-0 holds the run of another recipe \(task\.name: arithmetic -> sequences\)"):
        runs.make_room(other, overwrite=False)
    page.write_text("page")
    runs.make_room(other, overwrite=True)
    assert not page.exists()
    assert not (tmp_path / "c" / "seed-0" / "prepare").exists()


def test_stages_that_the_recipe_no_longer_has_are_set_aside(prepared: Path) -> None:
    manifest = RunDirectory(prepared).manifest()
    for name in ("align-2", "held_out"):
        manifest["stages"][name] = manifest["stages"]["prepare"]
        (prepared / name / "model").mkdir(parents=True)
    write_json(prepared / "manifest.json", manifest)
    lines: list[str] = []
    runner.run_stages(small_run.recipe(prepared), only="prepare", report=lines.append)
    assert [line for line in lines if "align-2" in line and "not in this recipe, moved to" in line]
    assert not (prepared / "align-2").exists()
    assert (prepared / "unused" / "align-2" / "model").is_dir()
    assert (prepared / "held_out" / "model").is_dir()  # a comparison shares this directory
    assert list(RunDirectory(prepared).manifest()["stages"]) == ["prepare", "held_out"]


def test_dry_run_says_that_the_run_would_be_refused(recipe_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftune.pipeline.estimate.speed._TRIAL_SECONDS", 0.01)
    assert CliRunner().invoke(app, ["prepare", str(recipe_file)]).exit_code == 0
    result = CliRunner().invoke(app, ["run", str(recipe_file), "seed=1", "--dry-run"])
    assert "holds the run of another recipe (seed: 0 -> 1): this run would be refused without --overwrite" in result.stdout


def test_data_that_cannot_be_read_do_not_empty_a_stage(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    row = {"question": "q", "answer": "1+1=2\n#### 2"}
    for split in ("train", "test"):
        (data / f"{split}.jsonl").write_text("".join(json.dumps(row | {"question": f"{split} {n}"}) + "\n" for n in range(3)))
    slices = {"name": "gsm8k", "train": "train[:2]", "validation": "train[2:]", "test": "test"}
    recipe = small_run.recipe(tmp_path / "run", task=slices).model_copy(update={"data": data})
    runner.run_stages(recipe, only="prepare", report=lambda line: None)
    (data / "train.jsonl").write_text("{\n")
    with pytest.raises(DataError, match=r"train\.jsonl:1: an object that continues on the next line"):
        runner.run_stages(recipe, only="prepare", report=lambda line: None)
    assert (tmp_path / "run" / "prepare" / "train.jsonl").exists()
