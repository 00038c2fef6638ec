"""The stage: from the folders of a run to the page and the metrics at its top. No model is loaded."""

import json
from pathlib import Path

import pytest

from aftune.common.json_text import write_json
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.stages.report import gather, report
from aftune.recipe import Recipe
from aftune.records import write_records
from aftune.reporting import ReportData


@pytest.fixture
def context(tmp_path: Path, data: ReportData) -> Context:
    running = {"report": {"status": "running", "seconds": 0.0}}
    write_json(
        tmp_path / "manifest.json", {"stages": {**data.stages, **running}, "versions": data.versions, "machine": data.machine}
    )
    write_json(tmp_path / "prepare" / "left_out.json", data.left_out)
    for stage, log in data.logs.items():
        write_json(tmp_path / stage / "log.json", log)
    write_json(tmp_path / "evaluate" / "metrics.json", data.metrics)
    write_records(tmp_path / "evaluate" / "groups.jsonl", data.groups)
    for name in data.metrics["results"]:
        scored = data.scores["aligned" if name == "aligned" else "vft"]
        write_records(tmp_path / "evaluate" / name / "scores.jsonl", scored)
        write_records(tmp_path / "evaluate" / name / "verdicts.jsonl", data.verdicts[name])
    return Context(Recipe(run_dir=tmp_path, seed=3), RunDirectory(tmp_path))


def test_writes_the_page_and_a_copy_of_the_metrics(context: Context, data: ReportData) -> None:
    summary = report(context)
    page = context.run.path / "report.html"
    assert summary == {"page": str(page), "groups": 4}
    assert json.loads((context.run.path / "metrics.json").read_text()) == data.metrics
    text = page.read_text(encoding="utf-8")
    assert "Candidate 4.1" in text
    assert "−0.0177" in text
    first = page.read_bytes()
    report(context)
    assert page.read_bytes() == first


def test_gathers_what_the_stages_wrote(context: Context, data: ReportData) -> None:
    gathered = gather(context)
    assert list(gathered.stages) == ["prepare", "sft", "sample", "label", "align", "control", "evaluate"]
    assert list(gathered.groups) == data.groups
    assert {name: list(gathered.scores[name]) for name in data.scores} == data.scores
    assert gathered.logs == data.logs
    assert gathered.left_out == data.left_out


def test_what_an_earlier_control_left_is_not_shown(context: Context) -> None:
    recipe = Recipe.model_validate({"run_dir": context.run.path, "control": {"enabled": False}})
    gathered = gather(Context(recipe, context.run))
    assert "control" not in gathered.stages
    assert "control" not in gathered.logs


def test_logs_and_left_out_problems_may_be_missing(context: Context) -> None:
    (context.run.path / "prepare" / "left_out.json").unlink()
    (context.run.path / "align" / "log.json").unlink()
    report(context)
    assert "None: every problem" in (context.run.path / "report.html").read_text(encoding="utf-8")
