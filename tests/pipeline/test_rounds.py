"""Two rounds in an ordinary run: the second samples from the model of the first, and goes on where it was broken off."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import small_comparison
import small_run
from aftune.cli import run_views
from aftune.common.seeds import derive_seed
from aftune.models.loading import load_model
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import plan
from aftune.prompts.prompter import Prompter
from aftune.recipe import Recipe
from aftune.records import Candidate, Problem, read_records
from aftune.sampling import SamplingSettings, TransformersEngine, collect
from aftune.training import AlignmentTrainer

pytestmark = pytest.mark.xdist_group("rounds")  # its fixtures are slow to make, so one process runs it all

STAGES = ["prepare", "sft", "sample", "label", "align", "sample-2", "label-2", "align-2", "control", "evaluate", "report"]


class BrokenOffError(Exception):
    """Stands for the end of the process."""


def recipe(folder: Path, **sections: Any) -> Recipe:
    return small_comparison.recipe(folder, rounds=2, **{"evaluate": {"num_votes": 0}, **sections})


def break_off() -> None:
    raise BrokenOffError


@pytest.fixture(scope="module")
def run(comparison: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A finished run, broken off in the first of two blocks of sample-2 and in the third of four steps of align-2, with the
    lines of its last part. The shared stages of a comparison are those of an ordinary run, so it starts from them."""
    folder = comparison.clone(tmp_path_factory.mktemp("rounds")) / "seed-0"
    wanted = recipe(folder)
    assert [item.stage.name for item in plan(wanted, RunDirectory(folder)) if item.status == "finished"] == STAGES[:4]
    owners: list[tuple[Any, str, int, str]] = [
        (collect, "append_records", 1, "sample-2"),
        (AlignmentTrainer, "training_step", 3, "align-2"),  # by then align is finished
    ]
    for owner, name, calls, stage in owners:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, small_run.after_calls(getattr(owner, name), calls, break_off))
            with pytest.raises(BrokenOffError):
                runner.run_stages(wanted, report=lambda line: None)
        entries = RunDirectory(folder).manifest()["stages"]
        assert [name for name, entry in entries.items() if entry["status"] == "running"] == [stage]
    lines: list[str] = []
    runner.run_stages(wanted, report=lines.append)
    return folder, lines


def test_stages_of_the_second_round_read_those_of_the_first(tmp_path: Path) -> None:
    plans = plan(recipe(tmp_path), RunDirectory(tmp_path))
    assert [item.stage.name for item in plans] == STAGES
    reads = {item.stage.name: [earlier.stage.name for earlier in item.upstream] for item in plans}
    assert reads["sample"] == ["prepare", "sft"]
    assert reads["sample-2"] == ["prepare", "align"]
    assert reads["label-2"] == ["prepare", "sample-2"]
    assert reads["align-2"] == ["prepare", "align", "label-2"]
    assert reads["control"] == ["prepare", "sft"]
    assert reads["evaluate"] == ["prepare", "sft", "align", "control", "align-2"]
    dpo = plan(recipe(tmp_path, align={"loss": "dpo"}), RunDirectory(tmp_path))
    reads = {item.stage.name: [earlier.stage.name for earlier in item.upstream] for item in dpo}
    assert reads["reference-2"] == ["prepare", "align", "label-2"]
    assert reads["align-2"] == ["prepare", "align", "label-2", "reference-2"]


def test_imported_candidates_are_of_the_first_round(tmp_path: Path) -> None:
    imported = {"format": "gsm8k_solutions", "path": "solutions.jsonl"}
    plans = {item.stage.name: item for item in plan(recipe(tmp_path, candidates=imported), RunDirectory(tmp_path))}
    assert [item.stage.name for item in plans["sample"].upstream] == ["prepare"]
    assert [item.stage.name for item in plans["sample-2"].upstream] == ["prepare", "align"]
    assert "candidates" in plans["sample"].settings
    assert "candidates" not in plans["sample-2"].settings


def test_it_goes_on_where_it_was_broken_off(run: tuple[Path, list[str]], comparison: Any) -> None:
    """And leaves what the comparison's method of two rounds has left without being broken off."""
    folder, lines = run
    assert [line for line in lines if "continues" in line] == ["align-2   [yellow]continues[/yellow]: was interrupted"]
    assert sum("skipped" in line for line in lines) == 7
    unbroken = comparison.method("aft-bc:rounds=2")
    for name in ("align/model/model.safetensors", "sample-2/candidates.jsonl", "align-2/model/model.safetensors"):
        assert (folder / name).read_bytes() == (unbroken / name).read_bytes(), name


def test_the_second_round_samples_from_the_model_of_the_first(run: tuple[Path, list[str]], tmp_path: Path, tokenizer: Any) -> None:
    """Its candidates are not those of the first round, but those that this model gives in the stream of sample-2."""
    folder, _ = run
    wanted = recipe(folder)
    rounds = [read_records(folder / name / "candidates.jsonl", Candidate) for name in ("sample", "sample-2")]
    assert {(c.problem_id, c.index) for c in rounds[0]} == {(c.problem_id, c.index) for c in rounds[1]}
    assert sum(a.text == b.text for a, b in zip(*rounds, strict=True)) < len(rounds[0]) / 2
    expected = collect.collect_candidates(
        TransformersEngine(load_model(str(folder / "align" / "model"), wanted.model), tokenizer, wanted.sample.batch_size),
        read_records(folder / "prepare" / "train.jsonl", Problem),
        collect.Asked(Prompter(tokenizer)),
        collect.Draw(SamplingSettings(max_new_tokens=64, temperature=1.0), num_candidates=3, seed=derive_seed(0, "sample-2")),
        tmp_path / "candidates.jsonl",
        "test",
    )
    assert sorted(rounds[1], key=lambda c: (c.problem_id, c.index)) == sorted(expected, key=lambda c: (c.problem_id, c.index))


def test_the_control_takes_the_steps_of_both_rounds(run: tuple[Path, list[str]]) -> None:
    stages = RunDirectory(run[0]).manifest()["stages"]
    steps = {name: stages[name]["summary"]["optimizer_steps"] for name in ("align", "align-2", "control")}
    assert steps == {"align": 4, "align-2": 4, "control": 8}


def test_both_rounds_are_measured_and_reported(run: tuple[Path, list[str]], comparison: Any) -> None:
    """The last one as a comparison measures it."""
    folder, _ = run
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["results"]) == ["base", "vft", "vft_same_steps", "aligned_round_1", "aligned"]
    assert list(metrics["comparisons"]) == [f"aligned_vs_{name}" for name in ("base", "vft", "vft_same_steps", "aligned_round_1")]
    for method, name in (("aft-bc:rounds=2", "aligned"), ("vft", "vft")):
        measured = json.loads((comparison.method(method) / "measure" / "metrics.json").read_text())
        ours = metrics["results"][name]
        assert ours == {key: measured[key] for key in ours}
    assert metrics["results"]["aligned"] != metrics["results"]["aligned_round_1"]
    page = (folder / "report.html").read_text()
    assert len(page) > 10_000
    assert "AFT-BC, round 1" in page


def test_the_summary_names_both_rounds(run: tuple[Path, list[str]], tmp_path: Path) -> None:
    with open(tmp_path / "summary.txt", "w") as file:
        run_views.print_results(recipe(run[0]), Console(file=file, width=160))
    text = (tmp_path / "summary.txt").read_text()
    assert "AFT-BC, round 1" in text.partition("accuracy: greedy")[0]
    assert "AFT-BC - AFT-BC, round 1: " in text


def test_more_rounds_keep_those_that_are_done(run: tuple[Path, list[str]]) -> None:
    """A third round adds its stages and redoes what covers all rounds; back to one, the later ones are left out."""
    folder, _ = run
    last = ["control", "evaluate", "report"]
    for rounds, left in ((3, ["sample-3", "label-3", "align-3", *last]), (1, last)):
        plans = plan(recipe(folder).model_copy(update={"rounds": rounds}), RunDirectory(folder))
        assert [item.stage.name for item in plans if item.status != "finished"] == left
