"""Whole runs of a small recipe: reproducible, resumable after SIGKILL in every stage, and redone no more than needed."""

import gc
import json
import os
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

import own_processes
import small_run
from aftune.common import interrupts, progress_record
from aftune.common.errors import DataError, StageError
from aftune.models import loading
from aftune.pipeline import runner
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import plan
from aftune.pipeline.verify import verify
from aftune.pipeline.workers import jobs_for
from aftune.recipe import BUNDLED, load_recipe
from aftune.records import Candidate, Group, JudgedResponse, Problem, read_records
from aftune.sampling import collect
from aftune.training import AlignmentTrainer
from aftune.training.callbacks import RichProgressCallback

pytestmark = pytest.mark.xdist_group("run")  # its fixture is slow to make, so one process runs it all


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    runner.run_stages(small_run.recipe(folder), report=lambda line: None)
    return folder


def figures(run_dir: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((run_dir / "metrics.json").read_text())
    return metrics


def test_run_leaves_everything_that_the_readme_promises(finished_run: Path) -> None:
    metrics = figures(finished_run)
    for name in ("base", "vft", "vft_same_steps", "aligned"):
        result = metrics["results"][name]
        assert result["num_problems"] == 6
        low, high = result["accuracy_ci95"]
        assert 0 <= low <= result["accuracy"] <= high <= 1
        assert "assessment_accuracy" in result
    manifest = json.loads((finished_run / "manifest.json").read_text())
    stages = ["prepare", "sft", "sample", "label", "align", "control", "evaluate", "report"]
    assert [name for name, entry in manifest["stages"].items() if entry["status"] == "finished"] == stages
    assert manifest["versions"]["torch"]
    assert (finished_run / "report.html").stat().st_size > 10_000
    assert len(read_records(finished_run / "sample" / "candidates.jsonl", Candidate)) == 12 * 3
    groups = read_records(finished_run / "label" / "groups.jsonl", Group)
    counts = manifest["stages"]["label"]["summary"]
    num_kept = sum(len(group.candidates) for group in groups)
    assert num_kept + counts.get("truncated", 0) + counts.get("duplicate", 0) + counts.get("empty", 0) == 12 * 3
    # AFT and its control: same number of steps, same problems a step.
    summaries = {name: entry["summary"] for name, entry in manifest["stages"].items()}
    assert summaries["align"]["optimizer_steps"] == summaries["control"]["optimizer_steps"] == 6


@pytest.mark.parametrize(("stage", "key"), [("sft", "vft"), ("align", "aligned"), ("control", "vft_same_steps")])
def test_a_model_is_ready_to_use(stage: str, key: str, finished_run: Path) -> None:
    """Loaded as its card says and asked as a chat program asks, with nothing else set but the precision: the greedy answers of the
    evaluation."""
    folder = finished_run / stage / "model"
    precision = load_recipe(finished_run / "recipe.yaml").model.precision
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder, dtype=precision), AutoTokenizer.from_pretrained(folder)
    problems = {problem.id: problem for problem in read_records(finished_run / "prepare" / "test.jsonl", Problem)}
    for answer in read_records(finished_run / "evaluate" / key / "verdicts.jsonl", JudgedResponse)[:3]:
        messages = [{"role": "user", "content": problems[answer.problem_id].question}]
        inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
        output = model.generate(**inputs)
        assert tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True) == answer.text


def test_each_model_has_a_card_with_its_figures(finished_run: Path) -> None:
    """Of the last report; cards are for people, so checksums leave them out."""
    accuracy = figures(finished_run)["results"]["aligned"]["accuracy"]
    card = ModelCard.load(finished_run / "align" / "model" / "README.md")
    assert [found.metric_value for found in card.data.eval_results if found.metric_type == "accuracy"] == [accuracy]
    assert {path.parent.parent.name for path in finished_run.glob("*/model/README.md")} == {"sft", "align", "control"}
    assert "README.md" not in (finished_run / "align" / "SHA256SUMS").read_text()
    assert [found for _, found in verify(finished_run) if found.differences or found.others] == []


def test_a_stage_leaves_no_model_in_memory(tmp_path: Path) -> None:
    """A trainer and its parts refer to each other, so its model stays until Python looks for such cycles, which it does not by
    itself here; a large model would be there twice in the next stage."""

    def models() -> set[int]:
        return {id(one) for one in gc.get_objects() if issubclass(type(one), PreTrainedModel)}

    gc.collect()
    before = models()
    gc.disable()
    try:
        for stage in ("prepare", "sft"):
            runner.run_stages(small_run.recipe(tmp_path), only=stage, report=lambda line: None)
        assert models() <= before
    finally:
        gc.enable()


def test_same_seed_gives_the_same_files_twice(finished_run: Path, tmp_path: Path) -> None:
    runner.run_stages(small_run.recipe(tmp_path), report=lambda line: None)
    for name in ("sample/candidates.jsonl", "label/groups.jsonl", "evaluate/aligned/scores.jsonl", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (finished_run / name).read_bytes(), name
    logs = [json.loads((folder / "align" / "log.json").read_text()) for folder in (tmp_path, finished_run)]
    for ours, theirs in zip(*logs, strict=True):
        of_machine = {name for name in theirs if "runtime" in name or "per_second" in name or "memory" in name}
        assert {k: v for k, v in ours.items() if k not in of_machine} == {k: v for k, v in theirs.items() if k not in of_machine}


def test_models_measured_beside_each_other_have_the_same_figures(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes with a thread each, as here; forked, so that they import nothing (those of a comparison are not)."""
    shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "evaluate")
    monkeypatch.setattr("aftune.pipeline.stages.evaluate.jobs_for", lambda *args: 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    forked = own_processes.context()
    monkeypatch.setattr("multiprocessing.get_context", lambda method: forked)
    runner.run_stages(small_run.recipe(tmp_path / "run"), report=lambda line: None)
    assert figures(tmp_path / "run") == figures(finished_run)


def test_jobs_for_small_models_on_a_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for few problems, whose time a start would take, nor where torch has one thread, nor for large models."""
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    small = small_run.recipe(tmp_path, model={"device": "cpu"})
    assert [jobs_for(small, 4, number) for number in (12, 249, 250)] == [1, 1, 2]
    large = small_run.recipe(tmp_path, model={"device": "cpu", "name": "nobody/nothing-500M"})
    assert jobs_for(large, 4, 1000) == 1
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert jobs_for(small, 4, 1000) == 1


def test_killed_in_every_stage_ends_with_the_figures_of_an_unbroken_run(finished_run: Path, tmp_path: Path) -> None:
    for stage, calls in small_run.KILL_POINTS:
        status = own_processes.exit_status(small_run.main, tmp_path, stage, calls)
        assert status == -signal.SIGKILL, f"{stage} was not reached again: the run was not broken off there"
        assert RunDirectory(tmp_path).entry(stage)["status"] == "running"
    assert own_processes.exit_status(small_run.main, tmp_path, "never", None) == 0
    assert figures(tmp_path) == figures(finished_run)
    for name in ("sample/candidates.jsonl", "evaluate/candidates.jsonl", "evaluate/aligned/scores.jsonl"):
        assert (tmp_path / name).read_bytes() == (finished_run / name).read_bytes(), name


def test_candidates_of_other_splits_are_counted_apart(tmp_path: Path) -> None:
    """Of candidates for all questions, those for held-out ones are no loss, and a question that is nowhere is one."""
    ours = small_run.recipe(tmp_path / "run")
    runner.run_stages(ours, only="prepare", report=lambda line: None)
    held_out = read_records(tmp_path / "run" / "prepare" / "test.jsonl", Problem)[:2]
    problems = read_records(tmp_path / "run" / "prepare" / "train.jsonl", Problem)[:3] + held_out
    rows = [{"question": problem.question, "text": "#### 1"} for problem in problems]
    path = tmp_path / "given.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"question": "Which?", "text": "#### 2"}]))
    given = small_run.recipe(tmp_path / "run", candidates={"format": "json_lines", "path": str(path)})
    runner.run_stages(given, only="sample", report=lambda line: None)
    summary = RunDirectory(tmp_path / "run").entry("sample")["summary"]
    assert (summary["candidates"], summary["not_imported"], summary["of_other_splits"]) == (3, 1, 2)
    rows = [json.loads(line) for line in (tmp_path / "run" / "sample" / "not_imported.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in rows] == ["a problem of another split (test)"] * 2 + ["fits no problem"]


def test_the_line_of_labelling_counts_as_the_files_do(finished_run: Path) -> None:
    """A candidate without an answer is kept, as wrong."""
    counts = {"candidates": 12, "right": 3, "wrong": 4, "no_answer": 2, "truncated": 3, "groups_mixed": 2, "groups_all_wrong": 1}
    assert runner._brief(counts) == (
        "12 candidates: 3 right, 6 wrong (2 without an answer), 3 left out; groups: 2 mixed, 0 all right, 1 all wrong"
    )
    summary = RunDirectory(finished_run).entry("label")["summary"]
    num_left_out = len((finished_run / "label" / "left_out.jsonl").read_text().splitlines())
    assert f", {num_left_out} left out; " in runner._brief(summary)


def test_the_bar_of_training_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainer tells its callbacks nothing of an error; a bar that stayed open would be drawn over what is said of it."""
    opened: list[Any] = []
    real = RichProgressCallback.on_train_begin

    def noted(self: RichProgressCallback, *args: Any, **kwargs: Any) -> None:
        real(self, *args, **kwargs)
        opened.append(self)

    def broken(*args: Any, **kwargs: Any) -> None:
        assert progress_record._open
        raise ValueError("broken")

    monkeypatch.setattr(RichProgressCallback, "on_train_begin", noted)
    monkeypatch.setattr(AlignmentTrainer, "training_step", broken)
    with pytest.raises(ValueError, match="broken"):
        runner.run_stages(small_run.recipe(tmp_path / "run"), report=lambda line: None)
    assert len(opened) == 1
    assert progress_record._open == []


def asked_to_end(stage: str, calls: int) -> None:
    """In a process of its own: the signal comes within a step of training, or after a block of candidates."""
    owner, name = (collect, "append_records") if stage == "sample" else (AlignmentTrainer, "training_step")
    asked = small_run.after_calls(getattr(owner, name), calls, lambda: os.kill(os.getpid(), signal.SIGTERM))
    setattr(owner, name, asked)


@pytest.mark.parametrize("number", [1, 2])
def test_asked_to_end_a_run_ends_where_it_can_go_on(finished_run: Path, tmp_path: Path, number: int) -> None:
    """SIGTERM in the second and the third (the last) step of an epoch of VFT, in sampling and in alignment: after the step, or at
    once. The last step of an epoch is not kept before the model was measured, which ends at once."""
    words, run = ["run", str(tmp_path / "recipe-of-the-test.yaml")], tmp_path / "run"
    Path(words[1]).write_text(small_run.recipe(run).to_yaml())
    for stage, calls, kept in (("sft", 2, {"checkpoint-2"}), ("sft", 1, {"checkpoint-2"}), ("sample", 1, None), ("align", 4, None)):
        before = partial(asked_to_end, stage, calls)
        running = own_processes.start_command(tmp_path / "said.txt", words, number, before)
        for process in running:
            process.join(300)
        assert [process.exitcode for process in running] == [143] * number, (tmp_path / "said.txt").read_text()
        assert RunDirectory(run).entry(stage)["status"] == "running"
        if kept is not None:
            assert {path.name for path in (run / stage / "checkpoints").iterdir()} == kept
    assert {path.name for path in (run / "align" / "checkpoints").iterdir()} >= {"checkpoint-4"}
    said = (tmp_path / "said.txt").read_text()
    assert said.count("  stopping, once this state of training is saved\n") == 3
    assert said.count("stopped by SIGTERM; the same command continues where it stopped") == 4
    for process in (running := own_processes.start_command(tmp_path / "said.txt", words, number)):
        process.join(300)
    assert [process.exitcode for process in running] == [0] * number
    if number == 1:
        assert figures(run) == figures(finished_run)
    for name in ("sample/candidates.jsonl", "evaluate/candidates.jsonl"):
        ours, theirs = ((folder / name).read_text().splitlines() for folder in (run, finished_run))
        assert sorted(ours) == sorted(theirs), name  # several processes write them in the order of the problems


def test_a_signal_that_a_library_makes_an_error_of_is_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's C++ turned SIGTERM while a model was loaded into a RuntimeError, which was told as a damaged file."""

    def load(*args: Any, **kwargs: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except interrupts.Interrupted as error:
            raise RuntimeError(repr(error)) from None

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", load)
    recipe = small_run.recipe(tmp_path)
    with pytest.raises(interrupts.Interrupted) as ended, interrupts.heard():
        runner.run_stages(recipe, keep_going=True, report=lambda line: None)
    assert ended.value.exit_status == 143
    assert RunDirectory(tmp_path).entry("sft")["ended"] == {"how": "interrupted", "why": "SIGTERM"}
    with pytest.raises(interrupts.Interrupted), interrupts.heard():  # outside a run too
        loading.load_model(BUNDLED, recipe.model)


def statuses(finished_run: Path, **sections: dict[str, Any]) -> dict[str, str]:
    plans = plan(small_run.recipe(finished_run, **sections), RunDirectory(finished_run))
    return {item.stage.name: item.status for item in plans}


@pytest.mark.parametrize(
    ("sections", "redone"),
    [
        ({}, set()),
        ({"report": {"num_groups": 5}}, {"report"}),
        ({"evaluate": {"num_candidates": 3}}, {"evaluate", "report"}),
        ({"align": {"beta": 0.3}}, {"align", "evaluate", "report"}),
        ({"align": {"learning_rate": 0.1}}, {"align", "control", "evaluate", "report"}),
        ({"sample": {"temperature": 0.7}}, {"sample", "label", "align", "evaluate", "report"}),
        ({"label": {"reading": "flexible"}}, {"label", "align", "evaluate", "report"}),
        ({"sft": {"num_epochs": 3}}, {"sft", "sample", "label", "align", "control", "evaluate", "report"}),
        ({"task": {"test": "test[:13]"}}, {"prepare", "sft", "sample", "label", "align", "control", "evaluate", "report"}),
    ],
)
def test_changed_setting_redoes_exactly_what_depends_on_it(
    finished_run: Path, sections: dict[str, dict[str, Any]], redone: set[str]
) -> None:
    assert {name for name, status in statuses(finished_run, **sections).items() if status != "finished"} == redone


def test_plan_says_which_setting_changed(finished_run: Path) -> None:
    plans = plan(small_run.recipe(finished_run, align={"beta": 0.3}), RunDirectory(finished_run))
    reasons = {item.stage.name: item.reason for item in plans if item.status == "redo"}
    assert reasons == {"align": "align.beta: 0.15 -> 0.3", "evaluate": "depends on align", "report": "depends on align, evaluate"}


def test_second_run_skips_everything(finished_run: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    before = (finished_run / "manifest.json").read_bytes()
    runner.run_stages(small_run.recipe(finished_run), report=lines.append)
    assert sum("skipped" in line for line in lines) == 8
    assert all("skipped" in line or "warning" in line for line in lines)  # a skipped stage warns again
    assert (finished_run / "manifest.json").read_bytes() == before


def test_redone_stage_replaces_its_folder_and_its_dependants(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    lines: list[str] = []
    runner.run_stages(small_run.recipe(copy, evaluate={"num_candidates": 3}), report=lines.append)
    assert sum("skipped" in line for line in lines) == 6
    assert len(read_records(copy / "evaluate" / "candidates.jsonl", Candidate)) == 6 * 3
    assert figures(copy)["results"]["aligned"]["accuracy"] == figures(finished_run)["results"]["aligned"]["accuracy"]


def test_stage_whose_files_are_gone_runs_again(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    page = (copy / "report.html").read_bytes()
    (copy / "report.html").unlink()
    lines: list[str] = []
    runner.run_stages(small_run.recipe(copy), report=lines.append)
    assert [line for line in lines if "report.html is gone" in line]
    assert sum("skipped" in line for line in lines) == 7
    assert len((copy / "report.html").read_bytes()) > 0.9 * len(page)


def test_a_missing_import_costs_nothing(finished_run: Path, tmp_path: Path) -> None:
    """The samples of before are still there, and a new run does not train first."""
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    before = (copy / "sample" / "candidates.jsonl").read_bytes()
    given = {"format": "json_lines", "path": str(tmp_path / "typo.jsonl")}
    for folder in (copy, tmp_path / "new"):
        with pytest.raises(DataError, match=r"candidates\.path: .*typo\.jsonl: no such file or folder"):
            runner.run_stages(small_run.recipe(folder, candidates=given), report=lambda line: None)
    assert (copy / "sample" / "candidates.jsonl").read_bytes() == before
    assert not (tmp_path / "new" / "prepare").exists()


def test_imported_candidates_need_no_training(tmp_path: Path) -> None:
    imported = {"format": "gsm8k_solutions", "path": "solutions.jsonl"}
    recipe = small_run.recipe(tmp_path / "run", candidates=imported)
    reads = {item.stage.name: [earlier.stage.name for earlier in item.upstream] for item in plan(recipe, RunDirectory(tmp_path))}
    assert reads["sample"] == ["prepare"]
    assert reads["evaluate"] == ["prepare", "sft", "align", "control"]
    assert list(reads)[:5] == ["prepare", "sample", "label", "sft", "align"]


def test_bad_candidates_stop_a_run_before_it_trains(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"problem_id": "a", "text": "2"}\n{"problem_id": "a", "txt": "3"}\n')
    given = small_run.recipe(tmp_path / "run", candidates={"format": "json_lines", "path": str(tmp_path / "bad.jsonl")})
    with pytest.raises(DataError, match=r"bad.jsonl:2: there is no text in column 'text'"):
        runner.run_stages(given, report=lambda line: None)
    assert not (tmp_path / "run" / "sft").exists()


def test_stage_before_its_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"align: stage prepare is not finished .* run it first"):
        runner.run_stages(small_run.recipe(tmp_path), only="align", report=lambda line: None)


def test_two_runs_in_one_directory_are_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    with run.locked(), pytest.raises(StageError, match="another aftune process is using"):
        runner.run_stages(small_run.recipe(tmp_path), only="prepare", report=lambda line: None)
