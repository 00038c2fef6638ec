"""A whole run with a chat template: one prompt everywhere, and responses that end with the template's end of turn."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

import small_run
from aftune.common.data_files import read_rows
from aftune.common.errors import UsageError
from aftune.models.loading import load_tokenizer, resolve, stop_token_ids
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.export import export
from aftune.pipeline.runner import run_stages
from aftune.pipeline.stages.train import _encode, training_arguments
from aftune.records import Candidate, Problem, read_records

pytestmark = pytest.mark.xdist_group("prompts")  # its fixtures are slow to make, so one process runs it all

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model with two more tokens, a template, and the end of a turn among what ends a response."""
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = load_tokenizer("bundled")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(resolve("bundled"), dtype="float32")
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")]
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    settings: dict[str, Any] = {
        "model": {"name": str(chat_model)},
        "prompt": {"style": "chat", "instruction": "Solve this.", "few_shot": 1},
        "sft": {"num_epochs": 1},
        "align": {"num_epochs": 1},
        "control": {"enabled": False},
    }
    recipe = small_run.recipe(tmp_path_factory.mktemp("run"), **settings)
    run_stages(recipe, report=lambda line: None)
    return Context(recipe, RunDirectory(recipe.run_dir))


def test_run_with_a_chat_template_ends_in_a_report(run: Context) -> None:
    assert (run.run.path / "report.html").exists()
    metrics = json.loads((run.run.path / "metrics.json").read_text())
    assert set(metrics["results"]) == {"base", "vft", "aligned"}


def test_training_sees_the_prompt_and_the_end_of_the_template(run: Context) -> None:
    tokenizer = run.tokenizer
    problem = run.problems("train")[0]
    args = training_arguments(run.recipe.align, run.run.path, run.recipe, validated=False)
    encoded = _encode(run, args, problem)
    (example,) = [e for e in read_records(run.folder("prepare") / "examples.jsonl", Problem) if e.id != problem.id][:1]
    assert tokenizer.decode(encoded.prompt_ids) == (
        f"<s><|im_start|>user\nSolve this.\n\n{example.question}<|im_end|>\n"
        f"<|im_start|>assistant\n{example.rationale}<|im_end|>\n"
        f"<|im_start|>user\nSolve this.\n\n{problem.question}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(encoded.response_ids[0]) == f"{problem.rationale}<|im_end|>"


def test_a_trained_model_still_stops_at_both_tokens(run: Context) -> None:
    model = run.load_policy("align")
    ids = [run.tokenizer.eos_token_id, run.tokenizer.convert_tokens_to_ids("<|im_end|>")]
    assert stop_token_ids(model, run.tokenizer) == sorted(ids)
    assert load_tokenizer(run.policy_folder("align")).chat_template == TEMPLATE
    candidates = read_records(run.folder("sample") / "candidates.jsonl", Candidate)
    assert not any(set(ids) & set(candidate.token_ids or []) for candidate in candidates)


def test_chat_without_a_template_stops_at_the_first_stage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"prompt\.style: the tokenizer of this model has no chat template"):
        run_stages(small_run.recipe(tmp_path, prompt={"style": "chat"}), report=lambda line: None)


def test_export_of_a_run_asks_as_the_run_does(run: Context, tmp_path: Path) -> None:
    """Messages that the template turns into the very ids that the run used."""
    assert export(run.run.path, "samples", tmp_path / "s.jsonl", model="vft") == {"samples": 6}
    (_, first), *_ = read_rows(tmp_path / "s.jsonl")
    problem, messages = run.problems("test")[0], first["arguments"]["gen_args_0"]["arg_0"]
    assert first["doc"]["problem_id"] == problem.id
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert run.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"] == run.prompter(problem)
    with pytest.raises(UsageError, match="--model is 'best', expected one of base, vft, aligned"):
        export(run.run.path, "samples", tmp_path / "s.jsonl", model="best")
