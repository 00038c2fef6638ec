"""Models of a run as folders that others load: exported, with a card, and pushed to a stand-in for the Hub."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

import small_run
from aftune.cli.main import app
from aftune.common import hub
from aftune.common.errors import AftuneError, StageError, UsageError
from aftune.common.yaml_text import parse_yaml
from aftune.models.loading import resolve
from aftune.pipeline.cards import published
from aftune.pipeline.context import Context, context_of
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.export import export
from aftune.pipeline.model_folder import write_model_folder
from aftune.pipeline.push import push
from aftune.records import Problem, write_records
from hub_stand_in import Received, hub_stand_in

pytestmark = pytest.mark.xdist_group("model_folder")  # they look at what stands in one run

EMBEDDING = "model.embed_tokens.weight"
BOTH = pytest.mark.parametrize("merge", [True, False])


def logits(model: Any, context: Context) -> torch.Tensor:
    """[1, prompt, vocabulary], of the first test problem."""
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([context.prompter(context.problems("test")[0])])).logits
    return found


def program_of(card: ModelCard) -> str:
    return str(card.text).partition("```python\n")[2].partition("\n```")[0]


@BOTH
@pytest.mark.parametrize(("model", "stage"), [("aligned", "align"), ("vft", "sft")])
def test_a_merged_model_is_that_of_the_run(
    adapter_runs: dict[bool, Path], tmp_path: Path, merge: bool, model: str, stage: str
) -> None:
    """It loads without PEFT, as any model does, and is saved in the recipe's type: that of the base model is bfloat16."""
    folder = adapter_runs[merge]
    assert export(folder, "merged", tmp_path / "out", model=model) == {"files": 7}
    context = context_of(folder)
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert {weight.dtype for weight in ours.parameters()} == {torch.float32}
    torch.testing.assert_close(logits(ours, context), logits(context.load_policy(stage, float32=True), context), rtol=0, atol=1e-4)
    assert not torch.allclose(logits(ours, context), logits(context.load_policy("base", float32=True), context), atol=1e-2)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("3 * 4")["input_ids"] == context.tokenizer("3 * 4")["input_ids"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_merging_is_the_sum_of_base_and_adapter(adapter_runs: dict[bool, Path], tmp_path: Path) -> None:
    """W + alpha / rank * B A, in float32: alpha is 32 and the rank 4."""
    export(adapter_runs[False], "merged", tmp_path / "out")
    base, ours = (load_file(folder / "model.safetensors") for folder in (Path(resolve("bundled")), tmp_path / "out"))
    adapter = load_file(adapter_runs[False] / "align" / "model" / "adapter_model.safetensors")
    name = "model.layers.0.self_attn.q_proj"
    a, b = (adapter[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
    torch.testing.assert_close(ours[f"{name}.weight"], base[f"{name}.weight"].float() + 32 / 4 * b @ a, rtol=0, atol=1e-6)


@BOTH
def test_an_adapter_is_that_of_the_run(adapter_runs: dict[bool, Path], tmp_path: Path, merge: bool) -> None:
    import peft

    folder = adapter_runs[merge]
    assert export(folder, "adapter", tmp_path / "out") == {"files": 6}
    base = AutoModelForCausalLM.from_pretrained(resolve("bundled"), dtype=torch.float32)
    context = context_of(folder)
    ours = peft.PeftModel.from_pretrained(base, tmp_path / "out")
    torch.testing.assert_close(
        logits(ours, context), logits(context.load_policy("align", float32=True), context), rtol=0, atol=1e-4
    )
    recorded = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (recorded["base_model_name_or_path"], recorded["revision"], recorded["r"]) == (resolve("bundled"), None, 4)


@pytest.mark.parametrize("form", ["merged", "adapter"])
def test_the_card_says_what_the_run_measured_and_how_to_use_the_model(
    adapter_runs: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    folder = adapter_runs[False]
    export(folder, form, tmp_path / "mine")
    card = ModelCard.load(tmp_path / "mine" / "README.md")
    metrics = json.loads((folder / "metrics.json").read_text())["results"]
    assert {result.metric_type: result.metric_value for result in card.data.eval_results} == {
        name: metrics["aligned"][name] for name in ("accuracy", "assessment_accuracy")
    }
    assert card.data.model_name == "mine"
    assert card.data.library_name == {"merged": "transformers", "adapter": "peft"}[form]
    assert card.data.base_model is None  # it is not on the Hub
    context = context_of(folder)
    recipe = parse_yaml(card.text.partition("```yaml\n")[2].partition("\n```")[0])
    assert recipe == context.recipe.model_dump(mode="json") | {"run_dir": folder.name}
    assert str(folder.parent) not in card.content
    ids = context.prompter(context.problems("train")[0])
    assert f"\n```\n{context.tokenizer.decode(ids).rstrip()}\n```\n" in card.text

    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(program_of(card), {})
    output = context.load_policy("align", float32=True).generate(torch.tensor([ids]), max_new_tokens=64, do_sample=False)
    assert capsys.readouterr().out == context.tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True) + "\n"


HOSTILE = (
    "a\n---\nb: c\n---\n```\n````python\n<script>alert(1)</script> | `x` **bold** {{ 7 * 7 }} [l](http://x)\n~~~\r\n# not a heading"
)


def test_a_hostile_question_leaves_the_card_intact(adapter_runs: dict[bool, Path], tmp_path: Path) -> None:
    """Its text is in the fence, to the last character, and what comes after is what came after before."""
    run = tmp_path / "run"
    shutil.copytree(adapter_runs[True], run)
    problem = Problem(id="h", task="arithmetic", question=HOSTILE, gold_answer="1", rationale="#### 1")
    write_records(run / "prepare" / "train.jsonl", [problem])
    for folder, name in ((adapter_runs[True], "plain"), (run, "hostile")):
        write_model_folder(context_of(folder), "merged", tmp_path / name, title="mine")
    plain, hostile = (ModelCard.load(tmp_path / name / "README.md") for name in ("plain", "hostile"))
    assert hostile.data.to_dict() == plain.data.to_dict()
    shown = "Question: " + HOSTILE.replace("\r", "\N{SYMBOL FOR CARRIAGE RETURN}") + "\nAnswer:"
    assert f"\n`````\n<s>{shown}\n`````\n\n## Use\n\n`````python\n" in hostile.text
    before, after = "## Prompt", "## Recipe"
    assert hostile.text.partition(before)[0] == plain.text.partition(before)[0]
    assert hostile.text.partition(after)[2].replace("run_dir: run\n", "") == plain.text.partition(after)[2].replace(
        f"run_dir: {adapter_runs[True].name}\n", ""
    )


def of_the_hub(adapter_runs: dict[bool, Path], folder: Path, cache: Path, commit: str | None) -> Path:
    """A copy of a run as if its base model had come from the Hub, at revision v1. In the cache v1 has moved on from commit 11...,
    the bundled model, to 22..., whose embeddings are twice as large."""
    shutil.copytree(adapter_runs[False], folder)
    text = (folder / "recipe.yaml").read_text()
    (folder / "recipe.yaml").write_text(text.replace("name: bundled\n  revision: null", "name: some/model\n  revision: v1"))
    manifest = json.loads((folder / "manifest.json").read_text().replace('"revision": null', '"revision": "v1"'))
    del manifest["check"]  # it is changed by hand
    manifest["stages"]["prepare"]["inputs"] = {"model some/model of the Hub": commit}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    place = cache / "models--some--model"
    for digit in "12":
        shutil.copytree(resolve("bundled"), place / "snapshots" / (digit * 40))
    weights = place / "snapshots" / ("2" * 40) / "model.safetensors"
    save_file({name: w * (1 + (name == EMBEDDING)) for name, w in load_file(weights).items()}, weights, {"format": "pt"})
    (place / "refs").mkdir()
    (place / "refs" / "v1").write_text("2" * 40)
    return folder


@pytest.mark.parametrize(("commit", "recorded", "said"), [("1" * 40, "1" * 40, f"v1, commit {'1' * 40}"), (None, "v1", "v1")])
def test_a_base_model_of_the_hub_is_recorded(
    adapter_runs: dict[bool, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commit: str | None,
    recorded: str,
    said: str,
) -> None:
    """By its commit where the run knows it; that is merged with then, wherever the revision has moved since."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    run = of_the_hub(adapter_runs, tmp_path / "run", tmp_path / "hub", commit)
    export(run, "adapter", tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("some/model", recorded)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert (card.data.base_model, card.data.base_model_relation) == ("some/model", "adapter")
    assert f"AFT-BC: [some/model](https://huggingface.co/some/model) at revision {said}, trained on arithmetic" in card.text
    export(run, "merged", tmp_path / "whole")
    assert ModelCard.load(tmp_path / "whole" / "README.md").data.base_model_relation == "finetune"
    base, ours = (load_file(path / "model.safetensors")[EMBEDDING] for path in (Path(resolve("bundled")), tmp_path / "whole"))
    assert ours.equal(base.float() * (1 if commit else 2))


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run that trained all weights; of models there are only names."""
    recipe = small_run.recipe(tmp_path / "run")
    small_run.finish_all(recipe)
    RunDirectory(recipe.run_dir).write_recipe(recipe)
    return recipe.run_dir


@pytest.mark.parametrize(
    ("target", "model", "message"),
    [
        ("adapter", "aligned", r"--to adapter: \S+ trained all weights \(adapter\.kind is none\); use --to merged"),
        ("merged", "base", r"--model is 'base', expected one of vft, vft_same_steps, aligned"),
        ("merged", "best", r"--model is 'best', expected one of vft, vft_same_steps, aligned"),
        ("merge", "aligned", r"--to is 'merge', expected one of .*, samples, merged, adapter"),
    ],
)
def test_what_a_run_does_not_have(finished: Path, tmp_path: Path, target: str, model: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        export(finished, target, tmp_path / "out", model=model)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_not_empty_stays(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    for out in (tmp_path / "out", tmp_path / "out" / "mine.txt"):
        with pytest.raises(UsageError, match=rf"--out: {out} is not empty; choose a new folder"):
            export(finished, "merged", out)
    with pytest.raises(UsageError, match=r"--to merged needs a run directory, and \S+mine\.txt is not one"):
        export(tmp_path / "out" / "mine.txt", "merged", tmp_path / "new")
    with pytest.raises(UsageError, match=r"out is not a run directory \(recipe\.yaml is missing\)"):
        export(tmp_path / "out", "merged", tmp_path / "new")


def test_a_stage_that_is_not_finished(finished: Path, tmp_path: Path) -> None:
    """Or whose model is that of other settings than the recipe in the folder has."""
    run, recipe = RunDirectory(finished), finished / "recipe.yaml"
    entry = run.entry("align")
    run.begin("align", {**entry, "status": "running"}, keep=True)
    with pytest.raises(StageError, match=rf"stage align is not finished \(was interrupted\); run `aftune run {recipe}` first"):
        export(finished, "merged", tmp_path / "out")
    run.finish("align", 1.0, {})
    recipe.write_text(recipe.read_text().replace("beta: 0.15", "beta: 0.3"))
    with pytest.raises(StageError, match=r"stage align is not finished \(align\.beta: 0\.15 -> 0\.3\)"):
        export(finished, "merged", tmp_path / "out")


def test_a_method_of_a_comparison_is_no_whole_run(tmp_path: Path) -> None:
    recipe = small_run.recipe(tmp_path / "methods" / "aft")
    RunDirectory(recipe.run_dir).write_recipe(recipe)
    with pytest.raises(
        UsageError, match=r"aft is one method of a comparison, not a whole run; its model is in \S+/aft/align/model"
    ):
        export(recipe.run_dir, "merged", tmp_path / "out")


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """The stand-in, which is the Hub as long as the test runs."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.trouble.cache_clear()
    with hub_stand_in() as received:
        monkeypatch.setattr(constants, "ENDPOINT", received.url)
        yield received
    hub.trouble.cache_clear()


def test_what_is_pushed_is_what_is_exported(adapter_runs: dict[bool, Path], tmp_path: Path, reached: Received) -> None:
    """Model and card, the latter under the name of the repository; nothing else, and nothing stays in the run."""
    run = adapter_runs[True]
    before = sorted(run.iterdir())
    result = CliRunner().invoke(app, ["push", str(run), "me/my-model", "--private"])
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{reached.url}/me/my-model\n"
    assert reached.created == [{"name": "my-model", "organization": "me", "visibility": "private"}]
    assert reached.tokens == {"Bearer hf_of_the_test"}
    write_model_folder(context_of(run), "merged", tmp_path / "out", title="me/my-model")
    assert reached.files == {"me/my-model": {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}}
    assert "name = 'me/my-model'\n" in reached.files["me/my-model"]["README.md"].decode()
    assert sorted(run.iterdir()) == before


def test_what_the_hub_refuses(adapter_runs: dict[bool, Path], reached: Received) -> None:
    reached.public.add("me/known")
    with pytest.raises(UsageError, match=r"--private: me/known is on the Hub and public; make it private there"):
        push(adapter_runs[True], "me/known", private=True)
    assert reached.files == {}
    reached.refuses = True
    with pytest.raises(
        AftuneError, match=r"me/mine: not pushed to the Hub \(403 .*You don't have the rights\); check the name"
    ) as caught:
        push(adapter_runs[True], "me/mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["my-model", "me/my model", "a/b/c", "me/..", "https://huggingface.co/me/x", ""])
def test_names_that_the_hub_does_not_take(finished: Path, name: str) -> None:
    result = CliRunner().invoke(app, ["push", str(finished), name])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"aftune: error: REPOSITORY is {name!r}, expected OWNER/NAME of letters")
    assert result.stderr.count("\n") == 1


def test_pushing_needs_a_token_and_a_hub(finished: Path, monkeypatch: pytest.MonkeyPatch, reached: Received) -> None:
    with pytest.raises(UsageError, match=r"--to is 'samples', expected one of merged, adapter"):
        push(finished, "me/mine", form="samples")
    with pytest.raises(UsageError, match=r"--to adapter: its base model, model\.name 'bundled', is only on this machine"):
        push(finished, "me/mine", form="adapter")
    monkeypatch.setattr("aftune.models.pushing.get_token", lambda: None)
    with pytest.raises(UsageError, match=r"there is no token of the Hub; set HF_TOKEN, or log in with hf auth login"):
        push(finished, "me/mine")
    monkeypatch.undo()
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match="HF_HUB_OFFLINE is set, and pushing needs the Hub"):
        push(finished, "me/mine")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    hub.trouble.cache_clear()
    with pytest.raises(AftuneError, match=r"the Hub at http://127\.0\.0\.1:9 cannot be reached .*; check the network"):
        push(finished, "me/mine")
    assert reached.created == []


@pytest.mark.parametrize(
    ("page", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model\n", "apache-2.0"),
        ("---\nlicense: [a, b]\n---\n", None),
        ("---\nlicense: [\n---\n", None),
        ("# A model\n", None),
        (None, None),
    ],
)
def test_the_licence_is_that_of_the_base_model(page: str | None, licence: str | None, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(resolve("bundled"), base)
    if page is not None:
        (base / "README.md").write_text(page, encoding="utf-8")
    recipe = small_run.recipe(tmp_path / "run", model={"name": str(base)})
    context = Context(recipe, RunDirectory(recipe.run_dir))
    write_records(context.folder("prepare") / "train.jsonl", [Problem(id="1", task="t", question="q?", gold_answer="1")])
    (context.run.path / "manifest.json").write_text(json.dumps({"stages": {"prepare": {"inputs": {}}}}))
    assert published(context, "aligned", "mine", adapter=False).licence == licence
