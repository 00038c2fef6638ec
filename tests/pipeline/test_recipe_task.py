"""The task of a recipe: which recipes make one, and what an error names."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftune import tasks
from aftune.common.errors import DataError, UsageError
from aftune.pipeline import recipe_task, runner
from aftune.pipeline.compare.runs import comparison
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.estimate.cost import estimate
from aftune.pipeline.plans import plan
from aftune.pipeline.registry import PREPARE
from aftune.pipeline.stages.train import training_arguments
from aftune.recipe import PromptSection, Recipe, load_recipe, with_settings
from aftune.records import Problem, read_records
from aftune.tasks.arithmetic import Arithmetic

PAIR: list[dict[str, Any]] = [{"name": "arithmetic"}, {"name": "sequences"}]


def recipe(parts: list[dict[str, Any]], *, data: Path | None = None, align: dict[str, Any] | None = None, **section: Any) -> Recipe:
    values = {
        "run_dir": "runs/x",
        "model": {"precision": "float32"},
        "task": {"name": "mixture", "parts": parts, **section},
        "align": align or {},
    }
    return Recipe.model_validate({**values, "data": data})


def gsm8k_folder(folder: Path, word: str, number: int = 6) -> Path:
    folder.mkdir()
    for split in ("train", "test"):
        rows = [{"question": f"{word} {split} {n}?", "answer": f"#### {n}"} for n in range(number)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def gsm8k(**part: Any) -> dict[str, Any]:
    return {"name": "gsm8k", "train": "train[:-2]", "validation": "train[-2:]", "test": "test", **part}


def test_one_task_is_built_as_before() -> None:
    built = recipe_task.build(Recipe(run_dir=Path("x"), seed=3))
    assert isinstance(built, Arithmetic)
    assert built.seed == 3


def test_a_mixture_takes_all_of_its_parts_slices_unless_it_is_sliced_itself() -> None:
    parts = [{"name": "arithmetic", "test": "test[:6]"}, {"name": "sequences", "test": "test[5:8]"}]
    whole = recipe(parts)
    assert (whole.task.train, whole.task.validation, whole.task.test) == ("train", "validation", "test")
    assert (whole.task.title, Recipe(run_dir=Path("x")).task.title) == ("arithmetic + sequences", "arithmetic")
    problems = recipe_task.build(whole).load(whole.task.test)
    ids = [*(f"arithmetic/test/{n}" for n in range(6)), *(f"sequences/test/{n}" for n in (5, 6, 7))]
    assert sorted(problem.id for problem in problems) == ids
    sliced = recipe(parts, test="test[:3]")
    assert recipe_task.build(sliced).load(sliced.task.test) == problems[:3]
    again = with_settings(whole, {"seed": 1}, "x")
    assert again.task == whole.task


def test_a_part_reads_its_own_folder_or_that_of_the_recipe(tmp_path: Path) -> None:
    ours, shared = gsm8k_folder(tmp_path / "ours", "ours"), gsm8k_folder(tmp_path / "shared", "shared")
    for part, word in ((gsm8k(data=str(ours)), "ours"), (gsm8k(), "shared")):
        built = recipe_task.build(recipe([part, PAIR[1]], data=shared))
        questions = [problem.question for problem in built.load("test") if problem.task == "gsm8k"]
        assert questions == [f"{word} test {n}?" for n in range(6)]
    hashes = PREPARE.inputs(recipe([gsm8k(data=str(ours)), PAIR[1]]))
    assert {name for name in hashes if name.startswith("task")} == {
        f"task.parts.0.data {split}.jsonl" for split in ("train", "test")
    }


def test_options_of_parts(tmp_path: Path) -> None:
    """Each part has its own, and says which of its rationales contradict their gold answers."""
    for split in ("train", "validation", "test"):
        rows = [{"q": f"{split} {n}?", "answer": n, "why": f"#### {n + (n == 1)}"} for n in range(4)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = {"name": "jsonl", "data": str(tmp_path), "options": {"question": "q", "rationale": "why"}}
    part = {**own, "train": "train[:2]", "validation": "train[2:]", "test": "test"}
    wanted = recipe([part, PAIR[1]], train="train[:9]").model_copy(update={"run_dir": tmp_path / "run"})
    built = recipe_task.build(wanted)
    assert [problem.question for problem in built.load("test") if problem.task == "jsonl"] == [f"test {n}?" for n in range(4)]
    assert built.has_split("validation")
    against = {problem.id: built.contradiction(problem) for problem in built.load("train")}
    assert {name: why for name, why in against.items() if why} == {
        "jsonl/train/1": "the rationale comes to 2, the gold answer is 1"
    }
    runner.run_stages(wanted, only="prepare", report=lambda line: None)
    left_out = json.loads((tmp_path / "run" / "prepare" / "left_out.json").read_text())
    assert [(row["id"], row["what"]) for row in left_out] == [("jsonl/test/1", "rationale")]  # training ends before it
    with pytest.raises(UsageError, match=r"task jsonl: unknown key 'task\.parts\.0\.options\.qestion'; did you mean 'question'\?"):
        recipe_task.check(recipe([{**own, "options": {"qestion": "q"}}]))
    with pytest.raises(UsageError, match=r"task\.options: a mixture takes none; give them to a part"):
        recipe_task.check(recipe(PAIR, options={"shots": 1}))


def test_few_shot_shows_examples_of_each_part_s_own_task(tmp_path: Path) -> None:
    wanted = recipe(PAIR, train="train[:40]", validation="validation[:4]", test="test[:8]").model_copy(
        update={"run_dir": tmp_path / "run", "prompt": PromptSection(few_shot=2)}
    )
    runner.run_stages(wanted, only="prepare", report=lambda line: None)
    context = Context(wanted, RunDirectory(wanted.run_dir))
    examples = read_records(context.folder("prepare") / "examples.jsonl", Problem)
    assert [example.task for example in examples] == ["arithmetic"] * 3 + ["sequences"] * 3
    for problem in context.problems("test"):
        shown = [example for example in examples if example.task == problem.task][:2]
        asked = [f"Question: {example.question}\nAnswer:\n{example.rationale}\n\n" for example in shown]
        assert context.prompter.conversation(problem) == "".join(asked) + f"Question: {problem.question}\nAnswer:\n"


def test_another_version_of_a_task_redoes_prepare(monkeypatch: pytest.MonkeyPatch) -> None:
    before = PREPARE.settings(recipe(PAIR))
    assert before["task_versions"] == {"arithmetic": 2, "sequences": 2}
    monkeypatch.setattr(Arithmetic, "version", 3)
    assert PREPARE.settings(recipe(PAIR)) == before | {"task_versions": {"arithmetic": 3, "sequences": 2}}


def test_a_changed_file_of_a_part_redoes_prepare(tmp_path: Path) -> None:
    folder = gsm8k_folder(tmp_path / "data", "a")
    wanted = recipe([gsm8k(data=str(folder)), PAIR[1]]).model_copy(update={"run_dir": tmp_path / "run"})
    runner.run_stages(wanted, only="prepare", report=lambda line: None)
    run = RunDirectory(wanted.run_dir)
    assert plan(wanted, run)[0].status == "finished"
    (folder / "test.jsonl").write_text('{"question": "new?", "answer": "#### 1"}\n')
    changed = plan(wanted, run)[0]
    assert changed.status == "redo"
    assert changed.reason == "task.parts.0.data test.jsonl changed"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"parts": []}, "task.parts: a mixture needs parts"),
        (
            {"name": "arithmetic", "parts": PAIR},
            "task.parts: task arithmetic has no parts; write task.name: mixture, or remove them",
        ),
        ({"parts": [*PAIR, {"name": "foo"}]}, "task.parts.2.name: there is no task 'foo'; there are arithmetic, "),
        ({"parts": [PAIR[0], {"name": "mixture"}]}, "task.parts.1.name: a mixture cannot be part of a mixture"),
        ({"parts": [*PAIR, PAIR[0]]}, "task.parts.2.name: arithmetic has the same problems as task.parts.0, arithmetic"),
        (
            {"parts": [PAIR[0], {"name": "gsm8k"}]},
            "task.parts.1.validation: task gsm8k has no split 'validation'; it has train, test",
        ),
        ({"parts": [{"name": "arithmetic", "test": "test[:x]"}]}, "task.parts.0.test: 'test[:x]' is not a split"),
        ({"parts": PAIR, "train": "dev"}, "task.train: task mixture has no split 'dev'; it has train, validation, test"),
        ({"name": "foo"}, "task.name: there is no task 'foo'; there are arithmetic, sequences, gsm8k, "),
        ({"name": "gsm8k"}, "task.train: task gsm8k has no split 'foo'"),
    ],
)
def test_what_makes_no_task_is_said_before_anything_is_done(section: dict[str, Any], message: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"name": "mixture", **section}
    if values["name"] == "gsm8k":
        values["train"] = "foo"
    wrong = Recipe.model_validate({"run_dir": tmp_path / "run", "task": values})
    with pytest.raises(UsageError) as caught:
        runner.run_stages(wrong, only="prepare")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "override", "message"),
    [
        (
            "[{name: arithmetic, tran: train}]",
            "seed=0",
            "unknown key 'task.parts.0.tran'; did you mean 'train'? allowed here: data, name",
        ),
        ("[{train: train}]", "seed=0", "key 'task.parts.0.name' is missing; add it"),
        ("[{name: arithmetic, test: 3}]", "seed=0", "task.parts.0.test is 3: input should be a valid string"),
        ("arithmetic", "seed=0", "task.parts is 'arithmetic': input should be a valid list"),
        ("[]", "task.parts=[3]", "override 'task.parts=[3]': task.parts.0 is 3: "),
    ],
)
def test_errors_in_parts_name_the_key(tmp_path: Path, text: str, override: str, message: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"run_dir: x\ntask: {{name: mixture, parts: {text}}}\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(path, [override])
    assert message in str(caught.value)


def test_a_data_folder_of_a_part_that_is_none() -> None:
    with pytest.raises(DataError, match=r"task\.parts\.1\.data: nowhere: no such file or folder; check the path"):
        recipe_task.build(recipe([PAIR[0], gsm8k(data="nowhere")]))


def test_ranking_of_a_mixture_needs_a_ranking_of_every_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Plain(Arithmetic):
        name = "plain"
        rank = tasks.Task.rank

    monkeypatch.setitem(tasks.TASKS, "plain", Plain)
    parts = [PAIR[1], {"name": "plain"}]
    with pytest.raises(UsageError, match=r"task\.parts\.1\.name: task plain has no ranking; set align\.feedback=binary"):
        recipe_task.check(recipe(parts, align={"feedback": "ranking"}))
    recipe_task.check(recipe(parts))
    recipe_task.check(recipe(PAIR, align={"feedback": "ranking"}))
    with pytest.raises(UsageError, match=r"task\.name: task plain has no ranking"):
        recipe_task.check(Recipe.model_validate({"run_dir": "x", "task": {"name": "plain"}, "align": {"feedback": "ranking"}}))
    with pytest.raises(UsageError, match=r"task\.parts\.1\.name: task plain has no ranking"):
        comparison(recipe(parts), ["vft", "aft:feedback=ranking"])


@pytest.mark.parametrize(("names", "feedback"), [(["gsm8k_rank"], "ranking"), (["gsm8k_rank", "sequences"], "binary")])
def test_feedback_that_training_uses(names: list[str], feedback: str, tmp_path: Path) -> None:
    wanted = recipe([gsm8k(name=name) if name == "gsm8k_rank" else {"name": name} for name in names])
    args = training_arguments(wanted.align, tmp_path, wanted, validated=False)
    assert args.feedback == feedback


def test_costs_of_a_mixture_are_those_of_its_parts() -> None:
    """Tokens add up where nothing but the numbers of problems differs; GSM8K's numbers are known without its files."""
    slices = {"train": "train[:64]", "validation": "validation[:10]", "test": "test[:20]"}
    alone = [Recipe.model_validate({"run_dir": "x", "task": {"name": part["name"], **slices}}) for part in PAIR]
    both = recipe([{**part, **slices} for part in PAIR])
    for one, other, mixed in zip(*map(estimate, [*alone, both]), strict=True):
        assert mixed.num_tokens == pytest.approx(one.num_tokens + other.num_tokens, rel=1e-9)
    half = estimate(recipe([{**part, **slices} for part in PAIR], train="train[:50%]"))
    assert half[0].num_tokens == pytest.approx(estimate(both)[0].num_tokens / 2)
    work = [item.what for item in estimate(recipe([gsm8k(train="train[:-200]"), {**PAIR[1], **slices}]))]
    assert work[0] == "7,337 references x 3 epochs"


def test_splits_of_one_file_that_share_rows_are_refused(tmp_path: Path) -> None:
    """By `prepare`, before it writes anything; those that meet are prepared."""
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"question": f"{n}?", "answer": n, "why": f"#### {n}"}) + "\n" for n in range(10)))

    def prepared(train: str) -> list[int]:
        task = {"name": "jsonl", "train": train, "validation": "all[80%:90%]", "test": "all[90%:]", "options": {"rationale": "why"}}
        values = {"run_dir": tmp_path / "run", "data": path, "model": {"precision": "float32"}, "task": task}
        runner.run_stages(Recipe.model_validate(values), only="prepare", report=lambda line: None)
        names = ("train", "validation", "test")
        return [len(read_records(tmp_path / "run" / "prepare" / f"{name}.jsonl", Problem)) for name in names]

    with pytest.raises(UsageError, match=r"task\.train and task\.validation share row 9 of the 10 of all"):
        prepared("all[:90%]")
    assert prepared("all[:80%]") == [8, 1, 1]
