"""The recipes of recipes/, from the base model to the report, each with a tiny model of the architecture that it names.

Only what makes a run small is set otherwise: the model, the data and its slices, lengths, batches, epochs, device and precision.
The sharded recipe runs unsharded in one process, since accelerate shards nothing on CPUs; `test_processes.py` has sharded runs.
Comparisons are in `compare/`, all stages of the quickstart in `test_run.py`, and the pilot in `tests/test_pilot.py`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, Qwen2Config

from aftune.interchange.importers.gsm8k_solutions import KINDS
from aftune.models.loading import load_config, load_tokenizer
from aftune.pipeline.context import Context, make_prompter
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.registry import needs_reference
from aftune.pipeline.runner import run_stages
from aftune.recipe import Recipe, load_recipe
from aftune.records import Group, read_records
from aftune.tasks.gsm8k import Gsm8k

# By recipe: the model that it names, and the architecture of that model.
MODELS: dict[str, tuple[str, type[PretrainedConfig]]] = {
    "gsm8k-smollm2": ("HuggingFaceTB/SmolLM2-135M-Instruct", LlamaConfig),
    "gsm8k-llama-7b-lora": ("meta-llama/Llama-2-7b-hf", LlamaConfig),
    "gsm8k-llama-13b-fsdp": ("meta-llama/Llama-2-13b-hf", LlamaConfig),
    "gsm8k-qwen": ("Qwen/Qwen2.5-1.5B-Instruct", Qwen2Config),
}
QWEN_WHOLE = ["adapter.kind=none", "model.weights=bfloat16", "sft.learning_rate=2.0e-5", "align.learning_rate=2.0e-5"]
BUNDLED = ("gsm8k-tiny", "gsm8k-published", "multitask")
ELSEWHERE = (
    "quickstart",
    "compare",
    "compare-newer",
    "compare-ranking",
    "compare-small",
    "compare-settings",
    "compare-real",
    "pilot",
)
LATER = ("reference", "align", "control", "evaluate", "report")

SMALL = [f"{stage}.{setting}" for stage in ("sft", "align") for setting in ("num_epochs=1", "batch_size=3")]
ON_A_CPU = ["model.device=cpu", "model.precision=float32"]
ALONE = ["launch.processes=1", "launch.sharding=none"]
SLICES = ["task.train=train[:6]", "task.validation=train[-2:]", "task.test=test[:4]"]

SUMS = [(first, total - first) for first in range(1, 5) for total in (5, 6)]
FIRST_QUESTION = "There are 1 cats, and 4 more come. How many are there?"
PROMPTS = {
    "alpaca": "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    f"### Instruction:\n{FIRST_QUESTION}\n\n### Response:\n",
    "chat": f"<|im_start|>user\n{{instruction}}{FIRST_QUESTION}<|im_end|>\n<|im_start|>assistant\n",
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GSM8K's files: eight problems each, whose answers are 5 or 6, and four solutions to each test problem, two of them right."""
    folder = tmp_path_factory.mktemp("data")
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "test": [], "example_model_solutions": []}
    for a, b in SUMS:
        for split, things in (("train", "cats"), ("test", "dogs")):
            question = f"There are {a} {things}, and {b} more come. How many are there?"
            rows[split].append({"question": question, "answer": f"{a}+{b}={a + b}\n#### {a + b}"})
        answers = {kind: a + b + place // 2 for place, kind in enumerate(KINDS)}
        solutions = {kind: {"solution": f"{a}+{b}={c}\nA: {c}", "is_correct": c == a + b} for kind, c in answers.items()}
        rows["example_model_solutions"].append({"question": question, **solutions})
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def tokenizer_for(recipe: Recipe) -> Any:
    """The bundled one; for a chat with a template, whose end of a turn ends a response."""
    tokenizer: Any = load_tokenizer("bundled")
    if recipe.prompt.style == "chat":
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "eos_token": "<|im_end|>"})
        tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(folder: Path, kind: type[PretrainedConfig], recipe: Recipe, data: Path) -> None:
    """A random model, taught to answer any problem with 5 or 6 as it comes: some of its candidates are right, some wrong."""
    tokenizer, task = tokenizer_for(recipe), Gsm8k(data)
    widths = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    tokens = {"vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: Any = AutoModelForCausalLM.from_config(kind(**widths, **tokens, initializer_range=0.1))
    prompter = make_prompter(tokenizer, task, recipe.prompt, [])
    ids, labels = [], []
    for problem in task.problems("train", 0, 3):
        for total in (5, 6):
            prompt = prompter(problem)
            response = [*tokenizer(f"#### {total}", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            ids.append(torch.tensor(prompt + response))
            labels.append(torch.tensor([-100] * len(prompt) + response))
    batch = {"input_ids": pad_sequence(ids, batch_first=True), "labels": pad_sequence(labels, batch_first=True, padding_value=-100)}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def run(repository: Path, name: str, folder: Path, *overrides: str) -> Context:
    """All stages up to the page; every model was measured, and no two of them are the same."""
    recipe = load_recipe(repository / "recipes" / f"{name}.yaml", [f"run_dir={folder / 'run'}", *SMALL, *ON_A_CPU, *overrides])
    run_stages(recipe, report=lambda line: None)
    stages = json.loads((recipe.run_dir / "manifest.json").read_text())["stages"]
    first = ("prepare", "sft", "sample", "label") if recipe.candidates is None else ("prepare", "sample", "label", "sft")
    assert [name for name, entry in stages.items() if entry["status"] == "finished"] == [
        stage for stage in (*first, *LATER) if stage != "reference" or needs_reference(recipe)
    ]
    results = json.loads((recipe.run_dir / "metrics.json").read_text())["results"]
    assert list(results) == ["base", "vft", "vft_same_steps", "aligned"]
    assert len({result["reference_perplexity"] for result in results.values()}) == 4
    assert (recipe.run_dir / "report.html").exists()
    return Context(recipe, RunDirectory(recipe.run_dir))


def counts(context: Context) -> dict[str, int]:
    found: dict[str, int] = context.run.entry("label")["summary"]
    return found


def test_every_recipe_is_run_somewhere(repository: Path) -> None:
    assert {path.stem for path in (repository / "recipes").glob("*.yaml")} == {*MODELS, *BUNDLED, *ELSEWHERE}


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        *((name, []) for name in MODELS),
        ("gsm8k-qwen", [*QWEN_WHOLE, "model.precision=bfloat16"]),
    ],
)
def test_a_recipe_with_a_model_of_its_architecture(
    repository: Path, data: Path, tmp_path: Path, name: str, variant: list[str]
) -> None:
    """Six problems with the recipe's number of candidates each. Qwen's also with what its comment gives for all weights."""
    path = repository / "recipes" / f"{name}.yaml"
    assert " ".join(variant and QWEN_WHOLE) in path.read_text()
    recipe = load_recipe(path, variant)
    named, kind = MODELS[name]
    assert recipe.model.name == named
    adapted = recipe.adapter.kind != "none"
    if adapted:
        pytest.importorskip("peft", reason="PEFT is not installed: pip install 'aftune[peft]'")
    make_model(tmp_path / "base", kind, recipe, data)
    lengths = [f"{stage}.max_new_tokens=8" for stage in ("sample", "evaluate")]
    own = [*SLICES, *ALONE, *lengths, f"data={data}", f"model.name={tmp_path / 'base'}"]
    context = run(repository, name, tmp_path, *own, *variant)

    assert counts(context)["candidates"] == 6 * recipe.sample.num_candidates
    assert counts(context)["right"] > 0
    assert counts(context)["wrong"] > 0
    prompt = context.tokenizer.decode(context.prompter(context.problems("train")[0]))
    instruction = f"{recipe.prompt.instruction}\n\n" if recipe.prompt.instruction else ""
    assert prompt == PROMPTS[recipe.prompt.style].format(instruction=instruction)
    assert (context.folder("align") / "adapter").exists() == adapted
    config: Any = load_config(context.policy_folder("align"))
    assert config.model_type == kind.model_type


@pytest.mark.parametrize(
    ("name", "own", "num_candidates"),
    [
        ("gsm8k-tiny", SLICES, 6 * 4),
        ("gsm8k-published", ["task.train=test[:4]", "task.validation=train[:2]", "task.test=test[4:8]"], 4 * len(KINDS)),
        ("multitask", ["task.train=train[:4]", "task.validation=validation[:2]", "task.test=test[:4]"], 4 * 8),
    ],
)
def test_a_recipe_of_the_bundled_model(
    repository: Path, data: Path, tmp_path: Path, name: str, own: list[str], num_candidates: int
) -> None:
    """Published solutions are of test problems, which are therefore what is trained on."""
    assert load_recipe(repository / "recipes" / f"{name}.yaml").model.name == "bundled"
    lengths = ["sample.max_new_tokens=64", "evaluate.max_new_tokens=8"]
    context = run(repository, name, tmp_path, *own, *lengths, f"data={data}")
    assert counts(context)["candidates"] == num_candidates
    groups = read_records(context.folder("label") / "groups.jsonl", Group)
    assert sum(len(group.candidates) for group in groups) > 0
