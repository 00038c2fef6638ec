"""Nothing but the sampling settings and the model's distribution decides on a token, in both ways of sampling."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from aftune.common.errors import DataError
from aftune.sampling import Request, SamplingSettings, TransformersEngine

PROMPTS = [[1, 40, 41, 42], [1, 7], [1, 90, 91, 92, 93, 94, 95, 96, 97], [1, 300, 301]]
SETTINGS = [SamplingSettings(40, temperature=0.0), SamplingSettings(40, temperature=0.7, top_k=30, top_p=0.95)]
OF_THE_MODEL: list[dict[str, Any]] = [
    {"do_sample": True, "temperature": 0.1, "top_k": 2, "top_p": 0.3, "min_p": 0.5, "typical_p": 0.2, "epsilon_cutoff": 0.1},
    {"no_repeat_ngram_size": 1},
    {"repetition_penalty": 5.0, "encoder_repetition_penalty": 3.0},
    {"min_length": 60, "min_new_tokens": 35},
    {"max_length": 12, "max_time": 0.0},
    {"suppress_tokens": list(range(300)), "begin_suppress_tokens": list(range(300, 560))},
    {"bad_words_ids": [[token] for token in range(3, 400)]},
    {"forced_bos_token_id": 77, "forced_eos_token_id": 2, "exponential_decay_length_penalty": (1, 100.0)},
    {"sequence_bias": {(44,): 100.0}, "guidance_scale": 3.0},
    {"num_beams": 3, "num_return_sequences": 2},
    {"remove_invalid_values": True, "renormalize_logits": True, "use_cache": False},
]


def complete(engine: TransformersEngine, settings: SamplingSettings) -> list[tuple[list[int], str]]:
    finished = dict(engine.complete([Request(prompt, row, f"p{row}") for row, prompt in enumerate(PROMPTS)], settings))
    return [(finished[row].token_ids, finished[row].finish_reason) for row in range(len(PROMPTS))]


@pytest.fixture(scope="module")
def expected(make_llama: Callable[..., Any], tokenizer: Any) -> list[list[tuple[list[int], str]]]:
    """By the decoding loop, of a model whose generation configuration says nothing."""
    engine = TransformersEngine(make_llama(seed=5), tokenizer)
    engine.stop_ids = [*engine.stop_ids, *range(20, 32)]
    found = [complete(engine, settings) for settings in SETTINGS]
    greedy = found[0]
    assert any(len(set(ids)) < len(ids) for ids, _ in greedy)  # a ban on repetitions would change something
    assert min(len(ids) for ids, _ in greedy) < 35
    assert max(len(ids) for ids, _ in greedy) > 12
    return found


@pytest.mark.parametrize("of_the_model", OF_THE_MODEL, ids=lambda values: next(iter(values)))
def test_generation_configuration_changes_nothing(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, expected: Any, of_the_model: dict[str, Any]
) -> None:
    model = make_llama(seed=5)
    model.generation_config = GenerationConfig(eos_token_id=list(range(20, 32)), **of_the_model)
    before = deepcopy(model.generation_config)
    engine = TransformersEngine(model, tokenizer)
    assert set(range(20, 32)) < set(engine.stop_ids)  # the only thing of it that counts
    assert [complete(engine, settings) for settings in SETTINGS] == expected
    assert model.generation_config == before


@pytest.mark.parametrize("settings", SETTINGS, ids=["greedy", "drawn"])
def test_weights_that_are_not_finite_end_sampling_at_once(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, settings: SamplingSettings
) -> None:
    model = make_llama(seed=5)
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = torch.nan
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    message = (
        "p0: the logits of model LlamaForCausalLM are not finite at token 1 of the response, because its weights are not "
        r"\(model.layers.1.mlp.down_proj.weight\); use an undamaged copy, or train it again with a lower learning rate"
    )
    with pytest.raises(DataError, match=message):
        complete(TransformersEngine(model, tokenizer), settings)
    assert len(calls) == 1


def test_the_response_that_meets_infinity_is_named(make_llama: Callable[..., Any], tokenizer: Any, way: str) -> None:
    """As where a computation overflows: after a token of one greedy response, with weights that are finite."""
    model = make_llama(seed=5)
    engine = TransformersEngine(model, tokenizer)
    paths = [ids for ids, _ in complete(engine, SamplingSettings(12, temperature=0.0))]
    elsewhere = {token for ids in (*PROMPTS, paths[0], paths[1], paths[3]) for token in ids}
    token = next(token for token in paths[2][5:] if token not in elsewhere)
    overflows = lambda module, args, output: output.masked_fill((args[0] == token)[..., None], torch.inf)  # noqa: E731
    model.model.embed_tokens.register_forward_hook(overflows)
    message = (
        f"p2: the logits of model LlamaForCausalLM are not finite at token {paths[2].index(token) + 2} of the response "
        "in float32, although its weights are; set model.precision=float32 or model.attention=eager"
    )
    with pytest.raises(DataError, match=message):
        complete(engine, SamplingSettings(12, temperature=0.0))
