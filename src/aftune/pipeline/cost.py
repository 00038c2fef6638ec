"""What a run would cost, before anything is loaded: tokens and operations by stage, a rough time, and memory of training.

Estimates: 6 FLOPs a parameter and token for training, 2 for a forward pass; lengths as given in the recipe where nothing
is known of the data. The time takes a matrix product measured here and assumes the share of it that small batches reach.
Memory counts weights, gradients and Adam's two moments in float32 and what one pass keeps for its backward pass.
"""

import math
import re
import time
from dataclasses import dataclass
from typing import Any

import torch

from aftune import models
from aftune.errors import AftuneError
from aftune.importers import CANDIDATES_PER_PROBLEM
from aftune.pipeline.context import make_prompter
from aftune.pipeline.task import SPLITS, build_one, used
from aftune.prompts import choose_examples
from aftune.recipe import PartSection, Recipe, SamplingSection
from aftune.scoring.head import CHUNK_ELEMENTS
from aftune.tasks import TASKS, Mixture, Task, splits

_UTILISATION = 0.12  # of the measured matrix product: what the quickstart reaches as a whole
_SAMPLE_SIZE = 64  # problems looked at for their lengths
_ASSUMED_TOKENS = (150, 150)  # prompt, response
# Tensors that a layer keeps for its backward pass: of the width of the hidden states, of the inner layer, attention weights.
_KEPT_WIDTHS, _KEPT_INNER, _KEPT_WEIGHTS = 12, 4, 2


@dataclass(frozen=True)
class StageCost:
    """Tokens through the model (millions) and the operations they take (10^12)."""

    stage: str
    what: str
    num_tokens: float
    teraflops: float


@dataclass(frozen=True)
class TrainingMemory:
    """num_tokens: of a mean group. num_rows: forward passes that it takes; of several, each is computed again for its
    gradient. state, pass_: bytes of weights, gradients and optimizer, and of what a pass holds."""

    num_tokens: int
    num_rows: int
    state: float
    pass_: float


def num_parameters(recipe: Recipe) -> float | None:
    """Parameters of the base model, from its configuration if it is here, else from its name (`...-1.5B`), else None."""
    section = recipe.model
    config = models.load_config(section.name, trust_remote_code=section.trust_remote_code)
    if config is not None:
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            return float(AutoModelForCausalLM.from_config(config).num_parameters())
    match = re.search(r"(\d+(?:\.\d+)?)\s*([bBmM])(?![a-zA-Z])", section.name)
    return float(match[1]) * (1e9 if match[2] in "bB" else 1e6) if match else None


def estimate(recipe: Recipe) -> list[StageCost]:
    """The costs of the stages that compute."""
    parameters = num_parameters(recipe) or 0.0
    num_train, num_validation, num_test = (_num_problems(recipe, split) for split in SPLITS)
    prompt, response = _mean_lengths(recipe)
    k, k_test = num_candidates(recipe, recipe.sample), num_candidates(recipe, recipe.evaluate)
    num_sampled = 0 if recipe.candidates else k_test
    num_policies = 4 if recipe.control.enabled else 3
    row = prompt + response
    group = prompt + (k + 1) * response  # the prompt is computed once

    rounds = f" x {recipe.rounds} rounds" if recipe.rounds > 1 else ""

    def cost(stage: str, what: str, tokens: float, flops_per_parameter: int) -> StageCost:
        return StageCost(stage, what, tokens / 1e6, tokens * parameters * flops_per_parameter / 1e12)

    epochs, align_epochs = recipe.sft.num_epochs, recipe.align.num_epochs * recipe.rounds
    num_rounds_sampled = recipe.rounds - (recipe.candidates is not None)  # what is imported is the first round's
    costs = [
        cost("sft", f"{num_train:,} references x {epochs:g} epochs", num_train * row * epochs, 6),
        cost("sft", f"{num_validation:,} greedy responses x {epochs:g} epochs", num_validation * row * epochs, 2),
        cost("sample", f"{num_train:,} problems x {k} candidates{rounds}", num_rounds_sampled * num_train * k * row, 2),
        cost("align", f"{num_train:,} groups of up to {k + 1} x {align_epochs:g} epochs", num_train * group * align_epochs, 6),
        cost("control", f"{num_train:,} references x {align_epochs:g} epochs", num_train * row * align_epochs, 6),
        cost(
            "evaluate",
            f"{num_test:,} problems x ({k_test} candidates + {num_policies} models)",
            num_test * (row * (num_sampled + num_policies) + num_policies * (prompt + k_test * response)),
            2,
        ),
    ]
    return [item for item in costs if item.stage != "control" or recipe.control.enabled]


def training_memory(recipe: Recipe) -> TrainingMemory | None:
    """Of the stage `align`, the largest; None where the model's configuration is not here."""
    section = recipe.model
    config = models.load_config(section.name, trust_remote_code=section.trust_remote_code)
    parameters = num_parameters(recipe)
    if config is None or parameters is None:
        return None
    prompt, response = _mean_lengths(recipe)
    k = num_candidates(recipe, recipe.sample)
    group, budget = prompt + (k + 1) * response, recipe.align.token_budget
    num_rows = 1 if group <= budget else math.ceil((k + 1) * response / max(budget - prompt, response))
    in_row = group * (budget // group) if num_rows == 1 else max(budget, prompt + response)
    head = 3 * min(CHUNK_ELEMENTS, in_row * config.vocab_size) * 4
    kept = kept_bytes(config, in_row, prompt + response, half=section.precision == "bfloat16")
    if recipe.align.gradient_checkpointing:
        kept /= config.num_hidden_layers
    return TrainingMemory(round(group), num_rows, parameters * 16, kept + head)


def kept_bytes(config: Any, num_tokens: float, num_visible: float, *, half: bool) -> float:
    """What a forward pass keeps for its backward pass, all layers: `num_tokens` in the row, of which each sees at most
    `num_visible`. With `half` under autocast, which keeps about half of it in float32."""
    wide = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or 4 * wide
    attention = _KEPT_WEIGHTS * config.num_attention_heads * num_visible
    values = num_tokens * config.num_hidden_layers * (_KEPT_WIDTHS * wide + _KEPT_INNER * inner + attention)
    return float(values * (3 if half else 4))


def measured_teraflops(device: str, dtype: torch.dtype) -> float:
    """10^12 operations a second of a matrix product here."""
    size = 4096 if device == "cuda" else 768
    a = torch.randn(size, size, device=device, dtype=dtype)
    best = float("inf")
    for _ in range(4):
        started = time.perf_counter()
        (a @ a).sum().item()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e12


def estimated_seconds(costs: list[StageCost], recipe: Recipe) -> float:
    """A rough time for all stages on this machine."""
    device = models.pick_device(recipe.model.device)
    rate = measured_teraflops(device, getattr(torch, recipe.model.precision))
    return sum(item.teraflops for item in costs) / (rate * _UTILISATION)


def _task(recipe: Recipe, key: str, part: PartSection) -> Task | None:
    """The task, or None where its data is not here (nothing is downloaded for an estimate)."""
    if (part.data or recipe.data) is None and not TASKS[part.name].generated:
        return None
    return build_one(recipe, key, part)


def num_candidates(recipe: Recipe, section: SamplingSection) -> int:
    """Candidates of a problem: sampled, or as many as imported files have where their format says so."""
    given = None if recipe.candidates is None else CANDIDATES_PER_PROBLEM.get(recipe.candidates.format)
    return section.num_candidates if given is None else given


def _num_problems(recipe: Recipe, split: str) -> int:
    """Of all tasks together; of a mixture what its own slice takes of the parts' slices."""
    if recipe.task.name != Mixture.name:
        return sum(_size(recipe, key, part, split) for key, part in used(recipe).items())
    wanted = splits.parse(getattr(recipe.task, split))
    start, stop = wanted.bounds(sum(_size(recipe, key, part, wanted.split) for key, part in used(recipe).items()))
    return stop - start


def _size(recipe: Recipe, key: str, part: PartSection, split: str) -> int:
    wanted, task = splits.parse(getattr(part, split)), _task(recipe, key, part)
    size = task.split_size(wanted.split) if task else TASKS[part.name].published_sizes.get(wanted.split, 0)
    start, stop = wanted.bounds(size)
    return stop - start


def _mean_lengths(recipe: Recipe) -> tuple[float, float]:
    """Mean tokens of prompts and reference responses, each task with the weight of its training problems."""
    parts = used(recipe)
    sizes = [max(_size(recipe, key, part, "train"), 1) for key, part in parts.items()]
    lengths = [_lengths(recipe, key, part) for key, part in parts.items()]
    prompt, response = (
        sum(size * length[place] for size, length in zip(sizes, lengths, strict=True)) / sum(sizes) for place in (0, 1)
    )
    return prompt, response


def _lengths(recipe: Recipe, key: str, part: PartSection) -> tuple[float, float]:
    """Those of one task, from a few problems where data and tokenizer are here."""
    task = _task(recipe, key, part)
    if task is None or models.load_config(recipe.model.name) is None:
        return _ASSUMED_TOKENS
    try:
        tokenizer: Any = models.load_tokenizer(recipe.model.name)
        wanted = splits.parse(part.train)
        start, stop = wanted.bounds(task.split_size(wanted.split))
        problems = list(task.problems(wanted.split, start, min(stop, start + _SAMPLE_SIZE)))
    except AftuneError:
        return _ASSUMED_TOKENS
    section = recipe.prompt
    examples = choose_examples(problems, section.few_shot, recipe.seed, task.sound_reference) if section.few_shot else []
    prompter = make_prompter(tokenizer, task, section, examples)
    prompts = [len(prompter(problem)) for problem in problems]
    responses = [len(tokenizer(task.reference_response(problem) or "")["input_ids"]) for problem in problems]
    return sum(prompts) / len(prompts), sum(responses) / len(responses)
