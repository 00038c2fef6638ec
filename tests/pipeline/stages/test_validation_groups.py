"""Groups held out from training: none of them is trained on, and the logged figures are those of the models' own scores."""

import importlib.util
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError
from aftune.evaluation.assessment import assessment_accuracy
from aftune.models.loading import load_model
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.registry import CONTROL, reads
from aftune.pipeline.runner import run_stages
from aftune.pipeline.stages.reference import reference
from aftune.pipeline.stages.train import align, control
from aftune.pipeline.stages.validation_groups import held_out, trained_on
from aftune.prompts.encoding import encode_group
from aftune.recipe import BUNDLED, ModelSection, Recipe
from aftune.records import Candidate, Feedback, Group, Problem, read_records, write_records
from aftune.scoring import score_groups
from aftune.training import AlignmentTrainer
from aftune.training.dataset import EncodedGroups
from small_run import recipe

pytestmark = pytest.mark.xdist_group("validation_groups")  # its fixtures are slow to make, so one process runs it all

NUMBER, HELD_OUT = 12, 5
ALIGN = {"start": "base", "validation_groups": HELD_OUT, "batch_size": 4, "num_epochs": 2, "learning_rate": 1e-3}
TRACKERS = ["tensorboard"] if importlib.util.find_spec("tensorboard") else []
STEPS = 2 * math.ceil((NUMBER - HELD_OUT) / 4)


def group(number: int, problem: Problem) -> Group:
    """The reference as the right candidate; in all groups but every fourth also wrong ones, that end in another number or stop at
    once."""
    reference = problem.rationale or ""
    texts = [reference, *([f"{reference[:-1]}{9 - int(reference[-1])}", "#### 1"] if number % 4 else [])]
    return Group(
        problem=problem,
        candidates=[Candidate(problem_id=problem.id, index=index, text=text) for index, text in enumerate(texts)],
        feedback=[Feedback(quality=float(index == 0), reason="matched") for index in range(len(texts))],
    )


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with problems and groups, in which nothing has been trained."""
    folder = tmp_path_factory.mktemp("started")
    slices = {"train": f"train[:{NUMBER}]", "validation": "validation[:1]", "test": "test[:1]"}
    run_stages(recipe(folder, task=slices), only="prepare", report=lambda line: None)
    problems = read_records(folder / "prepare" / "train.jsonl", Problem)
    (folder / "label").mkdir()
    write_records(folder / "label" / "groups.jsonl", [group(number, problem) for number, problem in enumerate(problems)])
    return folder


def context(started: Path, folder: Path, **sections: Any) -> Context:
    shutil.copytree(started, folder, dirs_exist_ok=True)
    for name in ("align", "control", "reference"):
        (folder / name).mkdir(exist_ok=True)
    common = {"align": ALIGN, "model": {"precision": "float32", "save_dtype": "float32"}, "track": {"report_to": TRACKERS}}
    return Context(recipe(folder, **{**common, **sections}), RunDirectory(folder))


def log(folder: Path, stage: str = "align") -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((folder / stage / "log.json").read_text())
    return found


def evaluations(folder: Path, stage: str = "align") -> dict[float, dict[str, float]]:
    """What was measured, by step; each step at most once."""
    entries = [entry for entry in log(folder, stage) if "eval_assessment_accuracy" in entry]
    assert len({entry["step"] for entry in entries}) == len(entries)
    return {entry["step"]: entry for entry in entries}


@pytest.fixture(scope="module")
def done(started: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Counter[str]]]:
    """A run with both trainings, and how often each of them had which problem."""
    run = context(started, tmp_path_factory.mktemp("done"))
    seen: dict[str, Counter[str]] = {}
    get = EncodedGroups.__getitem__
    with pytest.MonkeyPatch.context() as patch:
        for stage in (align, control):
            counts = seen[stage.__name__] = Counter()

            def noting(self: EncodedGroups, index: int, counts: Counter[str] = counts) -> Any:
                counts[get(self, index).problem_id] += 1
                return get(self, index)

            patch.setattr(EncodedGroups, "__getitem__", noting)
            stage(run)
    return run.run.path, seen


def test_held_out_groups_are_not_trained_on(done: tuple[Path, dict[str, Counter[str]]]) -> None:
    """The others twice, once an epoch; those of the control are the same, and so is the number of steps."""
    folder, seen = done
    ids = [problem.id for problem in read_records(folder / "prepare" / "train.jsonl", Problem)]
    out = {ids[place] for place in held_out(NUMBER, recipe(folder, align=ALIGN))}
    assert len(out) == HELD_OUT
    expected = {name: 2 for name in ids if name not in out}
    assert seen == {"align": expected, "control": expected}
    for stage in seen:
        assert max(entry["step"] for entry in log(folder, stage)) == STEPS


@pytest.mark.parametrize(("stage", "step"), [("align", 0), ("align", STEPS), ("control", STEPS)])
def test_the_logged_figures_are_those_of_the_models_own_scores(
    done: tuple[Path, dict[str, Counter[str]]], tokenizer: Any, stage: str, step: int
) -> None:
    """Before training those of the base model, after the last epoch those of the model that the stage leaves: pair by pair."""
    folder, _ = done
    groups = read_records(folder / "label" / "groups.jsonl", Group)
    chosen = [groups[place] for place in held_out(NUMBER, recipe(folder, align=ALIGN))]
    mixed = [one for one in chosen if len(one.candidates) == 3]
    assert 1 < len(mixed) < HELD_OUT
    model = load_model(str(folder / stage / "model") if step else BUNDLED, ModelSection(precision="float32"))
    run = Context(recipe(folder, align=ALIGN), RunDirectory(folder))
    encoded = [encode_group(tokenizer, one, run.prompter(one.problem), reference=None) for one in mixed]
    scores = list(score_groups(model, encoded))
    logged = evaluations(folder, stage)[step]
    shares = [(int(right > first) + int(right > second)) / 2 for right, first, second in scores]
    assert logged["eval_assessment_accuracy"] == pytest.approx(sum(shares) / len(mixed))
    assert shares == [assessment_accuracy(row, one.qualities) for row, one in zip(scores, mixed, strict=True)]
    assert logged["eval_num_assessed_problems"] == len(mixed)
    assert logged["eval_score_right"] == pytest.approx(sum(row[0] for row in scores) / len(mixed), rel=1e-4)
    assert logged["eval_score_wrong"] == pytest.approx(sum(row[1] + row[2] for row in scores) / 2 / len(mixed), rel=1e-4)


def test_it_is_measured_at_the_start_and_after_each_epoch(done: tuple[Path, dict[str, Counter[str]]]) -> None:
    for stage in ("align", "control"):
        assert list(evaluations(done[0], stage)) == [0, STEPS / 2, STEPS]


def broken_off(run: Context, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Runs `align` until so many steps are done."""
    step = AlignmentTrainer.training_step

    def breaking(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == after:
            raise InterruptedError
        return step(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(AlignmentTrainer, "training_step", breaking)
        with pytest.raises(InterruptedError):
            align(run)


def tracked(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a stage, by name: steps and values."""
    module = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="TensorBoard is not installed: pip install tensorboard"
    )
    read = module.EventAccumulator(str(folder / "tensorboard")).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


@pytest.mark.parametrize("stage", ["align", "control"])
def test_tensorboard_shows_all_of_the_log(done: tuple[Path, dict[str, Counter[str]]], stage: str) -> None:
    """Under the names of transformers."""
    shown = tracked(done[0] / stage)
    expected: dict[str, list[tuple[int, float]]] = {}
    for entry in log(done[0], stage):
        for name, value in entry.items():
            tag = f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
            expected.setdefault(tag, []).append((int(entry["step"]), pytest.approx(value, rel=1e-6)))
    del expected["train/step"]
    assert shown == expected
    both_scores = ("alignment_loss", "score_better", "score_worse") if stage == "align" else ()
    for name in ("loss", "sft_loss", "grad_norm", "learning_rate", "tokens_per_second", "peak_memory_gib", *both_scores):
        assert [step for step, _ in shown[f"train/{name}"]] == list(range(1, STEPS + 1)), name
    assert [step for step, _ in shown["eval/assessment_accuracy"]] == [0, STEPS // 2, STEPS]


def test_a_broken_off_training_ends_with_the_figures_of_the_unbroken_one(
    done: tuple[Path, dict[str, Counter[str]]], started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once before its first checkpoint, once after it. The start is not measured again where training continues; TensorBoard shows
    nothing of the first attempt, and of the second also the step after the checkpoint, twice."""
    run = context(started, tmp_path)
    broken_off(run, monkeypatch, 1)
    broken_off(run, monkeypatch, STEPS - 1)
    align(run)
    assert evaluations(tmp_path) == evaluations(done[0])
    if TRACKERS:
        assert [step for step, _ in tracked(tmp_path / "align")["train/loss"]] == [1, 2, 3, 3, 4]


def test_the_reference_policy_is_that_of_the_groups_that_are_left(started: Path, tmp_path: Path) -> None:
    """All seven in one step: log(1 + exp(0)) for those that have pairs, 0 for the others."""
    run = context(started, tmp_path, align={**ALIGN, "loss": "dpo", "constraint": "none", "batch_size": 7, "num_epochs": 1})
    reference(run)
    align(run)
    left = trained_on(read_records(tmp_path / "label" / "groups.jsonl", Group), run.recipe)
    num_mixed = sum(one.has_pairs for one in left)
    assert 0 < num_mixed < len(left) == 7
    (first,) = [entry for entry in log(tmp_path) if "alignment_loss" in entry]
    assert first["alignment_loss"] == pytest.approx(num_mixed / 7 * math.log(2), abs=1e-6)


@pytest.mark.parametrize("stage", [align, control])
@pytest.mark.parametrize(
    ("number", "message"),
    [
        (NUMBER, "align.validation_groups: 12 of 12 training problems cannot be held out; take fewer"),
        (1, "align.validation_groups: none of the 1 held out has right and wrong candidates; take more"),
    ],
)
def test_too_many_or_none_to_measure(
    started: Path, tmp_path: Path, stage: Callable[[Context], Any], number: int, message: str
) -> None:
    run = context(started, tmp_path, align={**ALIGN, "validation_groups": number})
    groups = read_records(tmp_path / "label" / "groups.jsonl", Group)
    alike = [one.model_copy(update={"candidates": one.candidates[:1], "feedback": one.feedback[:1]}) for one in groups]
    write_records(tmp_path / "label" / "groups.jsonl", alike)
    with pytest.raises(DataError, match=message):
        stage(run)


def test_without_validation_groups_nothing_is_held_out(tmp_path: Path) -> None:
    items = ["a", "b", "c"]
    assert trained_on(items, recipe(tmp_path)) is items
    few = recipe(tmp_path, align={"validation_groups": 2})
    assert list(trained_on(items, few)) == [items[place] for place in range(3) if place not in held_out(3, few)]


def test_they_follow_from_the_seed(tmp_path: Path) -> None:
    def chosen(seed: int) -> set[int]:
        return held_out(100, Recipe.model_validate({"run_dir": str(tmp_path), "seed": seed, "align": {"validation_groups": 10}}))

    assert chosen(0) == chosen(0)
    assert len(chosen(0) | chosen(1) | chosen(2)) > 20


def test_a_control_that_is_measured_reads_the_groups(tmp_path: Path) -> None:
    known = ("prepare", "sft", "label")
    assert reads(CONTROL, recipe(tmp_path), known) == ["prepare", "sft"]
    assert reads(CONTROL, recipe(tmp_path, align={"validation_groups": 2}), known) == ["prepare", "sft", "label"]
