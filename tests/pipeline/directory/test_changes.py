"""What redoes a finished stage, and what does not. Stages are marked finished without being run."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

import aftune
from aftune.pipeline import runner
from aftune.pipeline.directory.changes import input_changes, setting_changes, what_matters
from aftune.pipeline.directory.claim import other_recipe
from aftune.pipeline.directory.inputs import problem_inputs
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.plans import plan
from aftune.pipeline.registry import SFT
from aftune.recipe import Recipe
from small_run import finish_all

STAGES = ["prepare", "sft", "sample", "label", "align", "control", "evaluate", "report"]


def recipe(folder: Path, **sections: Any) -> Recipe:
    """With a beta of its own: an automatic one has a stage more."""
    align = {"beta": 0.15, **sections.pop("align", {})}
    return Recipe.model_validate({"run_dir": str(folder / "run"), "model": {"precision": "float32"}, "align": align, **sections})


def with_model(**settings: Any) -> dict[str, Any]:
    return {"model": {"precision": "float32", **settings}}


def redone(wanted: Recipe) -> dict[str, str]:
    """The stages that would not be skipped, with their reasons."""
    plans = plan(wanted, RunDirectory(wanted.run_dir))
    return {item.stage.name: item.reason for item in plans if item.status != "finished"}


@pytest.mark.parametrize(
    "sections",
    [
        {"evaluate": {"batch_size": 3}},
        {"sample": {"batch_size": 3}},
        {"sft": {"token_budget": 100, "gradient_checkpointing": True}},
        {"align": {"token_budget": 100, "gradient_checkpointing": True}},
        with_model(device="cpu"),
        with_model(attention="eager"),
        {"compare": {"jobs": 2}},
        {"track": {"report_to": ["tensorboard"], "project": "chains"}},
    ],
)
def test_what_changes_speed_and_memory_redoes_nothing(tmp_path: Path, sections: dict[str, Any]) -> None:
    finish_all(recipe(tmp_path, align={"loss": "dpo"}))
    assert redone(recipe(tmp_path, **{**sections, "align": {"loss": "dpo", **sections.get("align", {})}})) == {}


@pytest.mark.parametrize(
    ("sections", "first", "reason"),
    [
        ({"sft": {"batch_size": 8}}, "sft", "sft.batch_size: 16 -> 8"),
        (with_model(precision="bfloat16"), "prepare", "model.precision: float32 -> bfloat16"),
        (with_model(trust_remote_code=True), "prepare", "model.trust_remote_code: False -> True"),
        ({"task": {"test": "test[:5]"}}, "prepare", "task.test: test[:600] -> test[:5]"),
        ({"prompt": {"style": "alpaca"}}, "prepare", "prompt.style: plain -> alpaca"),
        ({"align": {"validation_groups": 5}}, "align", "align.validation_groups: 0 -> 5"),
        ({"evaluate": {"num_votes": 2}}, "evaluate", "evaluate.num_votes: 0 -> 2"),
    ],
)
def test_what_changes_results_redoes_the_stages_that_read_it(
    tmp_path: Path, sections: dict[str, Any], first: str, reason: str
) -> None:
    finish_all(recipe(tmp_path))
    found = redone(recipe(tmp_path, **sections))
    assert next(iter(found.items())) == (first, reason)
    assert list(found) == STAGES[STAGES.index(first) :]


def test_a_version_of_aftune_redoes_nothing_and_one_of_a_stage_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = recipe(tmp_path)
    finish_all(wanted)
    monkeypatch.setattr(aftune, "__version__", "99.0")
    assert redone(wanted) == {}
    monkeypatch.setitem(SFT.__dict__, "version", SFT.version + 1)
    found = redone(wanted)
    assert list(found) == STAGES[1:]
    assert found["sft"] == f"aftune itself changed (version {SFT.version - 1} of this stage -> {SFT.version})"


def test_a_setting_younger_than_the_run_redoes_it_only_where_it_is_not_the_default(tmp_path: Path) -> None:
    finish_all(recipe(tmp_path))
    path = tmp_path / "run" / "manifest.json"
    manifest = RunDirectory(tmp_path / "run").manifest()
    del manifest["stages"]["align"]["settings"]["align"]["pro_eps"]
    path.write_text(json.dumps(manifest))
    assert redone(recipe(tmp_path)) == {}
    assert redone(recipe(tmp_path, align={"pro_eps": 0.5}))["align"] == "align.pro_eps: 0.0 -> 0.5"


def test_a_setting_that_recipes_no_longer_have_redoes_nothing(tmp_path: Path) -> None:
    finish_all(recipe(tmp_path))
    path = tmp_path / "run" / "manifest.json"
    manifest = RunDirectory(tmp_path / "run").manifest()
    manifest["stages"]["align"]["settings"]["align"]["auto_beta_quantile"] = 0.8
    path.write_text(json.dumps(manifest))
    assert redone(recipe(tmp_path)) == {}


def test_an_automatic_beta_by_an_earlier_rule_is_chosen_again(tmp_path: Path) -> None:
    auto = recipe(tmp_path, align={"beta": "auto"})
    finish_all(auto)
    path = tmp_path / "run" / "manifest.json"
    manifest = RunDirectory(tmp_path / "run").manifest()
    del manifest["stages"]["align"]["settings"]["beta auto"]
    path.write_text(json.dumps(manifest))
    assert redone(auto)["align"] == "beta auto: None -> a share of the push"


def test_the_manifest_keeps_the_values_that_made_a_stage(tmp_path: Path) -> None:
    """Those of the first time where it was skipped; of a stage that went on with others, both."""
    first, second = (recipe(tmp_path, sample={"batch_size": size}, data=str(tmp_path)) for size in (7, 8))
    finish_all(first)
    run = RunDirectory(first.run_dir)
    assert run.entry("sample")["settings"]["sample"]["batch_size"] == 7
    assert run.entry("prepare")["settings"]["data"] == str(tmp_path)
    sample = plan(second, run)[2]
    assert sample.status == "finished"
    run.begin("sample", runner.made_by(sample, 0), keep=True)
    entry = run.entry("sample")
    assert entry["settings"]["sample"]["batch_size"] == 8
    assert [settings["sample"]["batch_size"] for settings in entry["earlier_settings"]] == [7]
    run.begin("sample", runner.made_by(sample, 0), keep=False)
    assert "earlier_settings" not in run.entry("sample")


def test_an_interrupted_stage_goes_on_with_another_batch_size_and_begins_anew_with_another_temperature(tmp_path: Path) -> None:
    wanted = recipe(tmp_path)
    finish_all(wanted)
    run = RunDirectory(wanted.run_dir)
    run.begin("sample", runner.made_by(plan(wanted, run)[2], 0), keep=True)
    for sections, status in (({"batch_size": 9}, "resume"), ({"temperature": 0.5}, "redo")):
        assert plan(recipe(tmp_path, sample=sections), run)[2].status == status


def write_gsm8k(folder: Path) -> Path:
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").write_text('{"question": "1+1?", "answer": "#### 2"}\n')
    return folder


def test_another_spelling_of_data_or_a_copy_of_it_redoes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_gsm8k(tmp_path / "data")
    (tmp_path / "link").symlink_to(folder)
    copy = write_gsm8k(tmp_path / "copy")
    task = {"name": "gsm8k", "validation": "train[-1:]"}
    finish_all(recipe(tmp_path, data=str(folder), task=task))
    monkeypatch.chdir(tmp_path)
    for spelling in ("data", "./data/", f"{folder}/", f"{tmp_path}/copy/../data", "link", str(copy)):
        assert redone(recipe(tmp_path, data=spelling, task=task)) == {}, spelling


def test_what_a_task_does_not_read_does_not_count(tmp_path: Path) -> None:
    folder = write_gsm8k(tmp_path / "data")
    wanted = recipe(tmp_path, data=str(folder), task={"name": "gsm8k", "validation": "train[-1:]"})
    finish_all(wanted)
    (folder / "README.md").write_text("Read me.")
    (folder / "validation.jsonl").write_text("{}")
    assert redone(wanted) == {}
    (folder / "train.jsonl").write_text('{"question": "1+2?", "answer": "#### 3"}\n')
    assert redone(wanted)["prepare"] == "data train.jsonl changed"


def write_mmlu(folder: Path) -> Path:
    for name in ("dev", "val", "test"):
        (folder / name).mkdir(parents=True)
        with open(folder / name / f"anatomy_{name}.csv", "w", newline="") as file:
            csv.writer(file).writerow([f"{name}?", "a", "b", "c", "d", "A"])
    return folder


def write_aqua(folder: Path) -> Path:
    folder.mkdir()
    for name in ("train.json", "dev.json", "test.json"):
        (folder / name).write_text("{}\n")
    return folder


def write_ecqa(folder: Path) -> Path:
    (folder / "ecqa").mkdir(parents=True)
    (folder / "commonsenseqa").mkdir()
    names = ("train_ids.txt", "val_ids.txt", "test_ids.txt", "ecqa.jsonl")
    questions = ("train_rand_split.jsonl", "dev_rand_split.jsonl")
    for path in (*(folder / "ecqa" / name for name in names), *(folder / "commonsenseqa" / name for name in questions)):
        path.write_text("x\n")
    return folder


@pytest.mark.parametrize(
    ("task", "write", "read", "unread"),
    [
        ("mmlu", write_mmlu, ["test/anatomy_test.csv", "val/anatomy_val.csv", "dev/anatomy_dev.csv"], ["test/notes.txt", "x.csv"]),
        ("aqua", write_aqua, ["train.json", "dev.json", "test.json"], ["flan_train.tsv"]),
        (
            "ecqa",
            write_ecqa,
            ["ecqa/train_ids.txt", "ecqa/ecqa.jsonl", "commonsenseqa/dev_rand_split.jsonl"],
            ["ecqa/flan_train.tsv", "ecqa/README.md"],
        ),
    ],
)
def test_files_in_subfolders_count_where_the_task_reads_them(
    tmp_path: Path, task: str, write: Any, read: list[str], unread: list[str]
) -> None:
    folder = write(tmp_path / "data")
    splits = {"mmlu": {"train": "dev", "validation": "validation", "test": "test"}}.get(task, {})
    wanted = recipe(tmp_path, data=str(folder), task={"name": task, **splits})
    finish_all(wanted)
    for name in unread:
        (folder / name).write_text("new\n")
    assert redone(wanted) == {}
    for name in read:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b"more\n")
        assert redone(wanted)["prepare"] == f"data {name} changed"
        (folder / name).write_bytes(content)
    (folder / read[0]).unlink()
    assert f"data {read[0]} is no longer read" in redone(wanted)["prepare"]


def test_the_code_of_a_grader_counts_with_what_it_imports_from_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("grader_of_changes.py", "import json\nfrom rules_of_changes import right\n\ndef grade(p, t):\n    return right(t)\n"),
        ("rules_of_changes.py", "def right(text):\n    return True\n"),
        ("unused_of_changes.py", ""),
    ):
        (tmp_path / name).write_text(text)
    package = tmp_path / "package_of_changes"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from . import words\n\ndef grade(p, t):\n    return words.LIST\n")
    (package / "words.py").write_text("LIST = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def asked(grader: str) -> Recipe:
        return recipe(tmp_path / grader, data=str(tmp_path), task={"name": "jsonl", "options": {"grader": f"{grader}:grade"}})

    for grader, files in (
        ("grader_of_changes", ["grader_of_changes.py", "rules_of_changes.py"]),
        ("package_of_changes.inner", [f"package_of_changes/{name}.py" for name in ("__init__", "inner", "words")]),
    ):
        wanted = asked(grader)
        assert [name for name in problem_inputs(wanted) if name.startswith("data grader")] == [f"data grader {f}" for f in files]
        finish_all(wanted)
        (tmp_path / "unused_of_changes.py").write_text("changed = 1\n")
        assert redone(wanted) == {}
        (tmp_path / files[-1]).write_text("# another rule\n" + (tmp_path / files[-1]).read_text())
        assert redone(wanted)["prepare"] == f"data grader {files[-1]} changed"
        (tmp_path / "unused_of_changes.py").write_text("")
    assert problem_inputs(asked("no_module_of_changes")).keys() == problem_inputs(asked("json")).keys() - {
        name for name in problem_inputs(asked("json")) if "grader" in name
    }


@pytest.mark.parametrize("folder_of_files", [False, True])
def test_imported_candidates_outside_data_count(tmp_path: Path, folder_of_files: bool) -> None:
    path = tmp_path / "elsewhere" / "c.jsonl"
    path.parent.mkdir()
    path.write_text('{"problem_id": "a", "text": "x"}\n')
    given = {"format": "json_lines", "path": str(path.parent if folder_of_files else path)}
    finish_all(recipe(tmp_path, candidates=given))
    again = {**given, "path": f"{tmp_path}/elsewhere/../elsewhere{'' if folder_of_files else '/c.jsonl'}"}
    assert redone(recipe(tmp_path, candidates=again)) == {}
    path.write_text('{"problem_id": "a", "text": "y"}\n')
    found = redone(recipe(tmp_path, candidates=given))
    assert found["sample"] == "candidates changed"
    assert found["evaluate"] == "candidates changed"  # held-out candidates are imported too
    assert list(found) == ["sample", "label", "align", "evaluate", "report"]
    path.unlink()
    assert redone(recipe(tmp_path, candidates=given))["sample"] == "candidates is no longer read"


def write_model(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja", "README.md"):
        (folder / name).write_text(name)
    return folder


def test_a_local_model_counts_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_model(tmp_path / "model")
    finish_all(recipe(tmp_path, **with_model(name=str(folder))))
    monkeypatch.chdir(tmp_path)
    (folder / "README.md").write_text("new")
    (folder / "LICENSE.txt").write_text("new")
    for spelling in (str(folder), "./model", "./model/", str(write_model(tmp_path / "copy"))):
        assert redone(recipe(tmp_path, **with_model(name=spelling))) == {}, spelling
    for name in ("config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"):
        content = (folder / name).read_text()
        (folder / name).write_text("changed")
        assert redone(recipe(tmp_path, **with_model(name=str(folder))))["prepare"] == f"model {name} changed"
        (folder / name).write_text(content)
    (folder / "modeling_own.py").write_text("")
    assert redone(recipe(tmp_path, **with_model(name=str(folder))))["prepare"] == "model modeling_own.py is new"


def cache(folder: Path, repository: str, commit: str, revision: str = "main") -> None:
    """As the Hub's cache notes what a branch was at the last download."""
    ref = folder / repository / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)


def test_revisions_of_the_hub_count_as_far_as_they_are_known_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first download none is: that is no change later on, and what the stage got is noted when it ends."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    wanted = recipe(tmp_path, task={"name": "gsm8k", "validation": "train[-9:]"}, **with_model(name="some/model"))
    names = ["data openai/gsm8k of the Hub", "model some/model of the Hub"]
    assert problem_inputs(wanted) == dict.fromkeys(names)
    finish_all(wanted)
    cache(tmp_path / "hub", "models--some--model", "a1\n")
    assert redone(wanted) == {}
    run = RunDirectory(wanted.run_dir)
    assert runner.inputs_by_now(wanted, plan(wanted, run)[0]) == {names[0]: None, names[1]: "a1"}
    cache(tmp_path / "hub", "datasets--openai--gsm8k", "d1")
    finish_all(wanted)
    cache(tmp_path / "hub", "models--some--model", "a2")
    assert redone(wanted)["prepare"] == f"{names[1]} changed"
    cache(tmp_path / "hub", "models--some--model", "a1")
    assert redone(wanted) == {}
    cache(tmp_path / "hub", "datasets--openai--gsm8k", "d2")
    assert redone(wanted)["prepare"] == f"{names[0]} changed"
    (tmp_path / "hub" / "datasets--openai--gsm8k" / "refs" / "main").unlink()
    assert redone(wanted) == {}
    other = recipe(tmp_path, task={"name": "gsm8k", "validation": "train[-9:]"}, **with_model(name="other/model"))
    assert redone(other)["prepare"] == "model other/model of the Hub is new, model some/model of the Hub is no longer read"


def test_another_revision_redoes_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing of either is here yet; a branch that has moved since counts as changed."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    wanted, other = (recipe(tmp_path, **with_model(name="some/model", revision=revision)) for revision in ("v1", "v2"))
    finish_all(wanted)
    assert redone(wanted) == {}
    found = redone(other)
    assert found["prepare"] == "model.revision: v1 -> v2"
    assert list(found) == STAGES
    run = RunDirectory(wanted.run_dir)
    run.write_recipe(wanted)
    assert other_recipe(other, run, plan(other, run)) == "model.revision: v1 -> v2"
    cache(tmp_path / "hub", "models--some--model", "a1", "v1")
    cache(tmp_path / "hub", "models--some--model", "b1", "main")
    assert problem_inputs(wanted) == {"model some/model of the Hub": "a1"}
    finish_all(wanted)
    cache(tmp_path / "hub", "models--some--model", "a2", "v1")
    assert redone(wanted)["prepare"] == "model some/model of the Hub changed"


def test_words_of_changes() -> None:
    old = what_matters({"align": {"beta": 0.15, "token_budget": 1}, "task": {"parts": [{"name": "a", "data": "x"}]}, "own": 1})
    assert old == {"align": {"beta": 0.15}, "task": {"parts": [{"name": "a"}]}, "own": 1}
    new: Mapping[str, Any] = {"align": {"beta": "auto"}, "task": {"parts": [{"name": "b"}]}, "own": 2}
    assert setting_changes(old, new) == [
        "align.beta: 0.15 -> auto",
        "task.parts: [{'name': 'a'}] -> [{'name': 'b'}]",
        "own: 1 -> 2",
    ]
    many: dict[str, str | None] = {f"data {n}": "x" for n in range(5)}
    assert input_changes({}, many) == ["data 0 is new", "data 1 is new", "data 2 is new", "and 2 more"]
