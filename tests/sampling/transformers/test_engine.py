"""The transformers engine: greedy, seeded, true to the model's distribution, and honest about how a response ended."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from scipy import stats

from aftune.sampling import Completion, Request, SamplingSettings, TransformersEngine
from aftune.sampling.transformers.next_token import TokenChoice

PROMPTS = [[1, 40, 41, 42], [1, 7], [1, 90, 91, 92, 93, 94, 95, 96, 97], [1, 300, 301]]
NO_EOS = 999_999


def complete(
    engine: TransformersEngine, prompts: Sequence[list[int]], seeds: Iterable[int], settings: SamplingSettings
) -> list[Completion]:
    """One completion a prompt, in order."""
    requests = [Request(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    finished = list(engine.complete(requests, settings))
    assert sorted(index for index, _ in finished) == list(range(len(requests)))
    return [completion for _, completion in sorted(finished, key=lambda pair: pair[0])]


@pytest.fixture(scope="module")
def endless(make_llama: Callable[..., Any], tokenizer: Any) -> TransformersEngine:
    """An engine that no token stops."""
    engine = TransformersEngine(make_llama(seed=5), tokenizer)
    engine.stop_ids = [NO_EOS]
    return engine


def argmax_loop(model: Any, prompt: list[int], num_tokens: int) -> list[int]:
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(num_tokens):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def fresh_token(path: list[int], start: int) -> int:
    """The first token at or after `start` that does not stand earlier in the path."""
    return next(path[i] for i in range(start, len(path)) if path[i] not in path[:i])


def next_token_probabilities(model: Any, prompt: list[int], temperature: float = 1.0) -> torch.Tensor:
    with torch.no_grad():
        return (model(input_ids=torch.tensor([prompt])).logits[0, -1].double() / temperature).softmax(-1)


def first_tokens(engine: TransformersEngine, prompt: list[int], num: int, **settings: float) -> list[int]:
    wanted = SamplingSettings(max_new_tokens=1, **settings)
    return [c.token_ids[0] for c in complete(engine, [prompt] * num, range(1000, 1000 + num), wanted)]


def chi_square_p(tokens: list[int], probabilities: torch.Tensor) -> float:
    """Of the counts of the tokens against their probabilities; tokens expected fewer than 8 times count as one."""
    expected = probabilities * len(tokens)
    common = (expected >= 8).nonzero().flatten().tolist()
    observed = [tokens.count(token) for token in common]
    frequencies = [expected[token].item() for token in common]
    rest = len(tokens) - sum(frequencies)
    if rest > 1e-6:
        observed.append(len(tokens) - sum(observed))
        frequencies.append(rest)
    assert len(observed) >= 5
    return float(stats.chisquare(observed, frequencies).pvalue)


def test_greedy_equals_an_argmax_loop(endless: TransformersEngine) -> None:
    completions = complete(endless, PROMPTS, [0, 1, 2, 3], SamplingSettings(max_new_tokens=12, temperature=0.0))
    expected = [argmax_loop(endless.model, prompt, 12) for prompt in PROMPTS]
    assert [c.token_ids for c in completions] == expected
    assert [c.finish_reason for c in completions] == ["length"] * 4
    assert len({tuple(ids) for ids in expected}) == 4
    assert len(set(expected[0])) > 3  # no stuttering model, a wrong position would show


def test_text_is_the_decoded_response(endless: TransformersEngine, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = tokenizer("Now Tom has 3+4=7 apples.", add_special_tokens=False)["input_ids"]
    steps = iter([*ids, NO_EOS])
    monkeypatch.setattr(TokenChoice, "__call__", lambda self, logits_N_V, uniforms_N: torch.tensor([next(steps)]))
    (completion,) = complete(endless, PROMPTS[:1], [0], SamplingSettings(max_new_tokens=60))
    assert completion.text == "Now Tom has 3+4=7 apples."
    assert completion.token_ids == ids
    assert completion.finish_reason == "stop"


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.7}, {"top_p": 0.8}, {"top_k": 20, "temperature": 1.3}])
def test_a_seeded_prompt_gives_the_same_alone_and_in_company(endless: TransformersEngine, settings: dict[str, Any]) -> None:
    wanted = SamplingSettings(max_new_tokens=16, **settings)
    seeds = [11, 22, 33, 44]
    together = [c.token_ids for c in complete(endless, PROMPTS, seeds, wanted)]
    alone = [complete(endless, [prompt], [seed], wanted)[0].token_ids for prompt, seed in zip(PROMPTS, seeds, strict=True)]
    turned = [c.token_ids for c in complete(endless, PROMPTS[::-1], seeds[::-1], wanted)][::-1]
    assert together == alone
    assert together == turned
    assert complete(endless, PROMPTS[:1], [12], wanted)[0].token_ids != alone[0]


def test_global_random_state_plays_no_part(endless: TransformersEngine) -> None:
    wanted = SamplingSettings(max_new_tokens=8)
    torch.manual_seed(0)
    first = complete(endless, PROMPTS, [1, 2, 3, 4], wanted)
    torch.manual_seed(1)
    assert complete(endless, PROMPTS, [1, 2, 3, 4], wanted) == first


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_first_tokens_follow_the_softmax(endless: TransformersEngine, temperature: float) -> None:
    tokens = first_tokens(endless, PROMPTS[0], 4000, temperature=temperature)
    probabilities = next_token_probabilities(endless.model, PROMPTS[0], temperature)
    assert chi_square_p(tokens, probabilities) > 0.01
    # The same counts are far from the distribution of another temperature: the test has power.
    assert chi_square_p(tokens, next_token_probabilities(endless.model, PROMPTS[0], temperature * 1.5)) < 1e-6


def test_second_tokens_follow_the_softmax_too(endless: TransformersEngine) -> None:
    """The uniform numbers of later positions are independent of the first."""
    completions = complete(endless, [PROMPTS[1]] * 4000, range(4000), SamplingSettings(max_new_tokens=2, temperature=0.6))
    pairs = [tuple(c.token_ids) for c in completions]
    firsts = [first for first, _ in pairs]
    common = max(set(firsts), key=firsts.count)
    seconds = [second for first, second in pairs if first == common]
    assert len(seconds) > 400
    assert chi_square_p(seconds, next_token_probabilities(endless.model, [*PROMPTS[1], common], 0.6)) > 0.01


def test_top_k_draws_from_the_k_likeliest_by_their_shares(endless: TransformersEngine) -> None:
    tokens = first_tokens(endless, PROMPTS[0], 2000, top_k=6)
    probabilities = next_token_probabilities(endless.model, PROMPTS[0])
    kept = probabilities.topk(6).indices.tolist()
    assert set(tokens) == set(kept)
    renormalised = torch.zeros_like(probabilities)
    renormalised[kept] = probabilities[kept] / probabilities[kept].sum()
    assert chi_square_p(tokens, renormalised) > 0.01


def test_top_p_draws_from_the_nucleus_by_its_shares(endless: TransformersEngine) -> None:
    probabilities = next_token_probabilities(endless.model, PROMPTS[0])
    ordered, tokens_by_rank = probabilities.sort(descending=True)
    num_kept = int((ordered.cumsum(0) < 0.3).sum()) + 1  # the smallest set of at least 0.3
    kept = tokens_by_rank[:num_kept].tolist()
    assert 5 <= num_kept < len(probabilities) // 2
    tokens = first_tokens(endless, PROMPTS[0], 4000, top_p=0.3)
    assert set(tokens) <= set(kept)
    renormalised = torch.zeros_like(probabilities)
    renormalised[kept] = probabilities[kept] / probabilities[kept].sum()
    assert chi_square_p(tokens, renormalised) > 0.01


def test_all_tokens_can_be_drawn_with_top_p_1_and_top_k_0(endless: TransformersEngine) -> None:
    """transformers' own default of top_k = 50 must not come in."""
    tokens = first_tokens(endless, PROMPTS[0], 4000)
    probabilities = next_token_probabilities(endless.model, PROMPTS[0])
    assert len(set(tokens) - set(probabilities.topk(50).indices.tolist())) > 10


def test_stops_at_any_of_several_end_tokens(make_llama: Callable[..., Any], tokenizer: Any) -> None:
    """Two tokens are made ends that the greedy paths of two prompts come along late."""
    model = make_llama(seed=5)
    paths = [argmax_loop(model, prompt, 10) for prompt in PROMPTS[:2]]
    ends = [fresh_token(paths[0], 3), fresh_token(paths[1], 5)]
    model.generation_config.eos_token_id = ends
    engine = TransformersEngine(model, tokenizer)
    assert engine.stop_ids == sorted({*ends, tokenizer.eos_token_id})
    cuts = [next((i for i, token in enumerate(path) if token in engine.stop_ids), None) for path in paths]
    assert all(cut is not None and cut > 1 for cut in cuts)
    assert cuts[0] != cuts[1]
    completions = complete(engine, PROMPTS[:2], [0, 0], SamplingSettings(max_new_tokens=10, temperature=0.0))
    assert [c.token_ids for c in completions] == [path[:cut] for path, cut in zip(paths, cuts, strict=True)]
    assert [c.finish_reason for c in completions] == ["stop", "stop"]


def test_max_new_tokens_counts_the_end_token(make_llama: Callable[..., Any], tokenizer: Any) -> None:
    model = make_llama(seed=5)
    path = argmax_loop(model, PROMPTS[0], 10)
    model.generation_config.eos_token_id = fresh_token(path, 3)
    engine = TransformersEngine(model, tokenizer)
    end = next(i for i, token in enumerate(path) if token in engine.stop_ids)
    exact, short = (complete(engine, PROMPTS[:1], [0], SamplingSettings(n, temperature=0.0))[0] for n in (end + 1, end))
    assert (exact.token_ids, exact.finish_reason) == (path[:end], "stop")
    assert (short.token_ids, short.finish_reason) == (path[:end], "length")


def test_stops_where_the_context_ends(make_llama: Callable[..., Any], tokenizer: Any) -> None:
    engine = TransformersEngine(make_llama(seed=5, max_position_embeddings=12), tokenizer)
    engine.stop_ids = [NO_EOS]
    completion = complete(engine, [PROMPTS[2]], [0], SamplingSettings(max_new_tokens=50))[0]
    assert len(completion.token_ids) == 12 - len(PROMPTS[2])
    assert completion.finish_reason == "length"


def test_a_long_prompt_in_the_batch_does_not_shorten_the_others(make_llama: Callable[..., Any], tokenizer: Any) -> None:
    engine = TransformersEngine(make_llama(seed=5, max_position_embeddings=12), tokenizer)
    engine.stop_ids = [NO_EOS]
    wanted = SamplingSettings(max_new_tokens=9)
    together = complete(engine, PROMPTS, [1, 2, 3, 4], wanted)
    assert [len(c.token_ids) for c in together] == [8, 9, 3, 9]
    assert together == [complete(engine, [prompt], [seed], wanted)[0] for prompt, seed in zip(PROMPTS, [1, 2, 3, 4], strict=True)]


def test_tokenizer_without_padding_token(make_llama: Callable[..., Any], tokenizer: Any) -> None:
    bare = deepcopy(tokenizer)
    bare.pad_token = None
    wanted = SamplingSettings(max_new_tokens=8)
    model = make_llama(seed=5)
    assert complete(TransformersEngine(model, bare), PROMPTS, [1, 2, 3, 4], wanted) == complete(
        TransformersEngine(model, tokenizer), PROMPTS, [1, 2, 3, 4], wanted
    )


def test_out_of_memory_the_rest_is_decoded_in_smaller_batches(make_llama: Callable[..., Any], tokenizer: Any, way: str) -> None:
    """With room for three sequences of eight: the same completions, each once; with room for none the error is raised."""
    model, settings = make_llama(seed=5), SamplingSettings(20, temperature=1.0)
    requests = [Request([1, 40 + n], seed=n) for n in range(8)]
    expected = dict(TransformersEngine(model, tokenizer, 8).complete(requests, settings))
    room = 3

    def limited(module: Any, args: Any, kwargs: Any) -> None:
        if len(kwargs["input_ids"]) > room:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    model.register_forward_pre_hook(limited, with_kwargs=True)
    engine = TransformersEngine(model, tokenizer, 8)
    with pytest.warns(UserWarning, match="out of memory: going on with 2 sequences at once"):
        found = list(engine.complete(requests, settings))
    assert sorted(index for index, _ in found) == list(range(8))
    assert dict(found) == expected
    room = 0
    with pytest.warns(UserWarning, match="going on with 1 sequences"), pytest.raises(RuntimeError, match="can't allocate memory"):
        list(engine.complete(requests, settings))
