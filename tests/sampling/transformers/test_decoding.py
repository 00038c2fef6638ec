"""The decoding loop against `model.generate`, model family by model family, however few places there are."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from aftune.sampling import Request, SamplingSettings, TransformersEngine
from aftune.sampling.transformers.layers import unsupported

VOCABULARY = 200
NEVER = 999_999  # no token
LENGTHS = (5, 17, 2, 9, 30, 3, 12, 21, 7, 1, 14, 6)
PROMPTS = [[(3 + 37 * row + 11 * i + i * i * (row + 1)) % (VOCABULARY - 3) + 3 for i in range(n)] for row, n in enumerate(LENGTHS)]
COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
WHOLE_HEADS = {key: value for key, value in COMMON.items() if key != "num_key_value_heads"}
FAMILIES: dict[str, dict[str, Any]] = {
    "Llama": COMMON,
    "Qwen2": COMMON,
    "Qwen3": COMMON | {"head_dim": 12},
    "Mistral": COMMON | {"sliding_window": 100},
    "Gemma": COMMON | {"head_dim": 8, "num_key_value_heads": 1},
    "Gemma2": COMMON | {"head_dim": 8, "sliding_window": 100, "query_pre_attn_scalar": 8, "tie_word_embeddings": False},
    "Gemma3Text": COMMON | {"query_pre_attn_scalar": 8, "tie_word_embeddings": False},
    "GPTNeoX": WHOLE_HEADS,
    "GPT2": {**WHOLE_HEADS, "n_positions": 128, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "Mixtral": COMMON | {"num_local_experts": 4, "sliding_window": None},
}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
DELTA = {
    f"linear_{name}": size
    for name, size in {"num_key_heads": 2, "num_value_heads": 4, "key_head_dim": 8, "value_head_dim": 8}.items()
}
# Layers that keep a state: gated delta rule, convolution, Mamba beside attention in one layer, and layers that keep nothing.
STATES: dict[str, dict[str, Any]] = {
    "Qwen3_5Text": COMMON | DELTA | {"head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
    "Lfm2": COMMON | {"layer_types": ["conv", "full_attention"]},
    "FalconH1": COMMON | MAMBA | {"mamba_d_ssm": 32, "mamba_n_heads": 4, "head_dim": 8},
    "NemotronH": COMMON
    | {"layers_block_type": ["linear_attention", "full_attention", "moe", "mlp"], "num_hidden_layers": 4, "mamba_num_heads": 8}
    | {"mamba_head_dim": 8, "ssm_state_size": 8, "chunk_size": 16, "head_dim": 8, "n_groups": 2, "moe_intermediate_size": 16}
    | {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_shared_expert_intermediate_size": 16},
    "Mamba2": {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "initializer_range": 0.3}
    | {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2, "chunk_size": 16},
}
FAMILIES |= STATES


def build(family: str, attention: str = "eager", **overrides: Any) -> Any:
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family] | overrides, attn_implementation=attention)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def engine_of(model: Any, tokenizer: Any, num_slots: int, stop_ids: list[int]) -> TransformersEngine:
    engine = TransformersEngine(model, tokenizer, num_slots)
    engine.stop_ids = stop_ids
    return engine


def responses(engine: TransformersEngine, requests: list[Request], settings: SamplingSettings) -> list[tuple[list[int], str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the slow way warns
        finished = dict(engine.complete(requests, settings))
    return [(finished[index].token_ids, finished[index].finish_reason) for index in range(len(requests))]


def generate(model: Any, prompt: list[int], num_tokens: int, stop_ids: list[int]) -> tuple[list[int], str]:
    output = model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=num_tokens, eos_token_id=stop_ids, pad_token_id=0
    )
    ids = output[0, len(prompt) :].tolist()
    return (ids[:-1], "stop") if ids[-1] in stop_ids else (ids, "length")


@pytest.fixture
def forward_calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[torch.Tensor]]:
    """Notes the ids of every forward pass of a model."""

    def watch(model: Any) -> list[torch.Tensor]:
        calls: list[torch.Tensor] = []
        model.register_forward_pre_hook(lambda module, args, kwargs: calls.append(kwargs["input_ids"]), with_kwargs=True)
        return calls

    return watch


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_equals_generate(tokenizer: Any, family: str, attention: str) -> None:
    """Twelve prompts of 1 to 30 tokens in four places: rows leave, move up and are replaced. Some stop early, some are cut."""
    if (family, attention) == ("Gemma2", "sdpa"):
        pytest.skip("its attention scores are capped, which sdpa cannot do")
    if (family, attention) == ("Mamba2", "sdpa"):
        pytest.skip("it has no attention")
    model = build(family, attention)
    first = [generate(model, prompt, 40, [NEVER])[0] for prompt in PROMPTS]
    stop_ids = [2, *sorted({path[3 + 4 * row] for row, path in enumerate(first[:6]) if len(path) > 3 + 4 * row})]
    expected = [generate(model, prompt, 40, stop_ids) for prompt in PROMPTS]
    settings = SamplingSettings(max_new_tokens=40, temperature=0.0)
    assert responses(engine_of(model, tokenizer, 4, stop_ids), [Request(prompt) for prompt in PROMPTS], settings) == expected
    assert len({len(ids) for ids, _ in expected}) > 3
    assert len({tuple(ids) for ids, _ in expected}) > 6


@pytest.mark.parametrize("num_slots", [1, 3, 8, 100])
@pytest.mark.parametrize("family", ["Llama", "FalconH1"])
def test_number_of_places_and_order_change_nothing(tokenizer: Any, family: str, num_slots: int) -> None:
    """36 sampled responses, three of each prompt, with two stop tokens that come every 20 tokens or so."""
    model, settings = build(family), SamplingSettings(max_new_tokens=50, temperature=0.9)
    requests = [Request(prompt, 100 * row + i) for row, prompt in enumerate(PROMPTS) for i in range(3)]
    stop_ids = list(range(10, 20))
    expected = responses(engine_of(model, tokenizer, 36, stop_ids), requests, settings)
    lengths = [len(ids) for ids, _ in expected]
    assert min(lengths) < 4
    assert max(lengths) == 50
    assert len({tuple(ids) for ids, _ in expected}) >= 34
    engine = engine_of(model, tokenizer, num_slots, stop_ids)
    assert responses(engine, requests, settings) == expected
    shuffled = [(7 * i) % 36 for i in range(36)]  # 7 and 36 share no factor: each request once
    assert responses(engine, [requests[i] for i in shuffled], settings) == [expected[i] for i in shuffled]


def test_candidates_of_a_prompt_share_one_prefill(tokenizer: Any, forward_calls: Callable[[Any], list[torch.Tensor]]) -> None:
    """Prompt tokens that the model sees: each prompt once for its eight candidates, though there are only 16 places."""
    model = build("Llama")
    calls = forward_calls(model)
    prompts = [PROMPTS[1], PROMPTS[4], PROMPTS[6], PROMPTS[7], PROMPTS[10]]
    requests = [Request(prompt, 8 * row + i) for row, prompt in enumerate(prompts) for i in range(8)]
    responses(engine_of(model, tokenizer, 16, list(range(10, 20))), requests, SamplingSettings(max_new_tokens=20))
    prefills = [ids for ids in calls if ids.shape[1] > 1]
    assert sum(len(ids) for ids in prefills) == 5
    seen = [row[row != 0].tolist() for ids in prefills for row in ids]
    assert sorted(seen) == sorted(prompts)
    assert max(len(ids) for ids in calls) == 16


def test_finished_rows_leave_the_batch(tokenizer: Any, forward_calls: Callable[[Any], list[torch.Tensor]]) -> None:
    """Once nothing waits, a step holds the rows that still go on and at most a sixteenth more."""
    model, settings = build("Llama"), SamplingSettings(max_new_tokens=30)
    calls = forward_calls(model)
    requests = [Request(PROMPTS[0], seed) for seed in range(64)]
    lengths = [
        len(ids) + (reason == "stop")
        for ids, reason in responses(engine_of(model, tokenizer, 64, list(range(10, 20))), requests, settings)
    ]
    rows = [len(ids) for ids in calls if ids.shape[1] == 1]
    live = [sum(length > step for length in lengths) for step in range(1, max(lengths))]
    assert len(rows) == len(live)
    assert all(n <= has <= n * 16 / 15 + 1 for n, has in zip(live, rows, strict=True))


def test_results_come_before_the_end(tokenizer: Any, forward_calls: Callable[[Any], list[torch.Tensor]]) -> None:
    model = build("Llama")
    calls = forward_calls(model)
    requests = [Request(PROMPTS[0], seed) for seed in range(20)]
    engine = engine_of(model, tokenizer, 4, list(range(10, 20)))
    when = [len(calls) for _ in engine.complete(requests, SamplingSettings(max_new_tokens=30))]
    assert when[0] < len(calls) / 3
    assert len(set(when)) > 5


def test_each_row_has_its_own_room_at_the_end_of_the_context(tokenizer: Any) -> None:
    model = build("Llama", max_position_embeddings=33)
    requests = [Request(prompt, row) for row, prompt in enumerate(PROMPTS)]
    finished = responses(engine_of(model, tokenizer, 3, [NEVER]), requests, SamplingSettings(max_new_tokens=25))
    assert [len(ids) for ids, _ in finished] == [min(25, 33 - length) for length in LENGTHS]
    assert {reason for _, reason in finished} == {"length"}


def test_finished_rows_at_the_end_of_learned_positions(tokenizer: Any) -> None:
    """The first response ends with the context and stays in the batch until another one ends too."""
    model = build("GPT2", max_position_embeddings=33, n_positions=33)
    requests = [Request([5] * 32), *(Request([7 + row] * 3) for row in range(30))]
    finished = responses(engine_of(model, tokenizer, 16, [NEVER]), requests, SamplingSettings(max_new_tokens=25))
    assert [len(ids) for ids, _ in finished] == [1, *[25] * 30]


def test_padding_of_a_memory_bounded_prefill(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefills of at most 40 padded tokens give what one prefill gives."""
    model, settings = build("Qwen2"), SamplingSettings(max_new_tokens=12)
    requests = [Request(prompt, row) for row, prompt in enumerate(PROMPTS)]
    expected = responses(engine_of(model, tokenizer, 12, [2]), requests, settings)
    monkeypatch.setattr("aftune.sampling.transformers.decoding.PREFILL_TOKENS", 40)
    assert responses(engine_of(model, tokenizer, 12, [2]), requests, settings) == expected


def test_no_requests_give_nothing(tokenizer: Any) -> None:
    assert responses(engine_of(build("Llama"), tokenizer, 4, [2]), [], SamplingSettings(max_new_tokens=5)) == []


@pytest.mark.parametrize(
    ("family", "settings", "attention"),
    [
        ("Mistral", {}, "eager"),
        ("Mistral", {}, "sdpa"),
        ("Gemma2", {}, "eager"),  # every other layer; it has no sdpa
        ("Gemma3Text", {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]}, "eager"),
        ("Gemma3Text", {"head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]}, "sdpa"),
        ("Qwen2", {"use_sliding_window": True, "layer_types": ["sliding_attention", "sliding_attention"]}, "sdpa"),
    ],
)
def test_sliding_windows_shorter_than_the_sequences(family: str, settings: dict[str, Any], attention: str, tokenizer: Any) -> None:
    """Greedily as `generate`, whose masks are the model's own: a window of 8 on sequences of up to 42 tokens."""
    model = build(family, attention, sliding_window=8, **settings)
    wide = build(family, attention, sliding_window=100, **settings)
    assert unsupported(model, 42) is None
    found = responses(
        engine_of(model, tokenizer, 4, [2]), [Request(prompt) for prompt in PROMPTS], SamplingSettings(12, temperature=0.0)
    )
    expected = [generate(model, prompt, 12, [2]) for prompt in PROMPTS]
    assert found == expected
    assert expected != [generate(wide, prompt, 12, [2]) for prompt in PROMPTS], "the window changes something"


def test_attention_in_chunks_goes_the_slow_way() -> None:
    model = build("Llama")
    model.config.layer_types, model.config.attention_chunk_size = ["chunked_attention", "full_attention"], 16
    assert unsupported(model, 16) is None
    assert unsupported(model, 17) == "its attention is in chunks shorter than 17 tokens"


def test_slow_way_draws_the_same_tokens(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("Llama", max_position_embeddings=33)
    requests = [Request(prompt, row) for row, prompt in enumerate(PROMPTS)]
    settings = SamplingSettings(max_new_tokens=25, temperature=0.8, top_k=50, top_p=0.9)
    engine = engine_of(model, tokenizer, 5, list(range(10, 15)))
    expected = responses(engine, requests, settings)
    monkeypatch.setattr("aftune.sampling.transformers.engine.unsupported", lambda model, longest: "of this test")
    with pytest.warns(UserWarning, match="sampling runs in whole batches, which is slower: of this test"):
        finished = dict(engine.complete(requests, settings))
    assert [(finished[i].token_ids, finished[i].finish_reason) for i in range(len(PROMPTS))] == expected


SLOW: dict[str, tuple[dict[str, Any], str]] = {
    "Bloom": ({"vocab_size": VOCABULARY, "hidden_size": 32, "n_layer": 2, "n_head": 4}, "does not take positions and masks"),
    "MiniMax": (COMMON | {"head_dim": 8, "num_local_experts": 2}, "keeps a state that is not known here"),
    "Rwkv": ({"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2}, "keeps a state that is not known here"),
    "RecurrentGemma": (
        COMMON | {"lru_width": 32, "block_types": ["recurrent", "attention"], "w_init_variance_scale": 1.0},
        "state",  # it takes padding in; before transformers 5.21 its layers have other names
    ),
}


@pytest.mark.parametrize("family", SLOW)
def test_other_models_go_the_slow_way(tokenizer: Any, family: str) -> None:
    """Prompts of seven lengths, two of each: greedily what `generate` gives for each prompt alone."""
    settings, reason = SLOW[family]
    config = getattr(transformers, f"{family}Config")(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    assert reason in (unsupported(model, 20) or "")
    prompts = [ids for prompt in PROMPTS[:7] for ids in (prompt, [*prompt[:-1], prompt[-1] + 1])]
    engine = engine_of(model, tokenizer, 3, [NEVER])
    with pytest.warns(UserWarning, match=f"whole batches, which is slower: .*{reason}"):
        finished = dict(engine.complete([Request(prompt) for prompt in prompts], SamplingSettings(9, temperature=0.0)))
    assert [finished[i].token_ids for i in range(14)] == [generate(model, prompt, 9, [NEVER])[0] for prompt in prompts]
