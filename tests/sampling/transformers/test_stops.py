"""Stop strings: the same cut as by hand from the uncut response, in both ways of sampling."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from aftune.prompts.encoding import encode_candidate
from aftune.records import Candidate
from aftune.sampling import Completion, Request, SamplingSettings, TransformersEngine
from aftune.sampling.transformers.next_token import TokenChoice
from aftune.sampling.transformers.stops import StopStrings, stops_of

NO_EOS = 999_999
PROMPTS = [[1, 40, 41, 42], [1, 7], [1, 90, 91, 92, 93, 94, 95, 96, 97], [1, 300, 301]]


def complete(engine: TransformersEngine, requests: Sequence[Request], settings: SamplingSettings) -> list[Completion]:
    finished = dict(engine.complete(requests, settings))
    return [finished[index] for index in range(len(requests))]


def scripted(
    make_llama: Callable[..., Any], tokenizer: Any, monkeypatch: pytest.MonkeyPatch, ids: Sequence[int], settings: SamplingSettings
) -> Completion:
    """What becomes of a response of these ids, after which the model writes on."""
    steps = iter([*ids, *[9] * 100])
    monkeypatch.setattr(TokenChoice, "__call__", lambda self, logits_N_V, uniforms_N: torch.tensor([next(steps)]))
    return complete(TransformersEngine(make_llama(), tokenizer), [Request(PROMPTS[0])], settings)[0]


@pytest.mark.parametrize("num_slots", [3, 40])
@pytest.mark.parametrize("stop", [("e",), ("\n", "us"), (" the", "é", "ha"), ("How many", "q")])
def test_cut_equals_a_search_in_the_uncut_text(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, num_slots: int, stop: tuple[str, ...]
) -> None:
    engine = TransformersEngine(make_llama(seed=5, initializer_range=0.1), tokenizer, num_slots)
    requests = [Request(prompt, 10 * row + i) for row, prompt in enumerate(PROMPTS) for i in range(10)]
    engine.stop_ids = [11, 12, 13]
    uncut = complete(engine, requests, SamplingSettings(40))
    num_cut = 0
    for whole, found in zip(uncut, complete(engine, requests, SamplingSettings(40, stop=stop)), strict=True):
        places = [place for place in map(whole.text.find, stop) if place >= 0]
        num_cut += bool(places)
        assert found.text == (whole.text[: min(places)] if places else whole.text)
        assert found.finish_reason == ("stop" if places else whole.finish_reason)
        assert tokenizer.decode(found.token_ids, skip_special_tokens=True) == found.text
        if not places:
            assert found.token_ids == whole.token_ids
    assert num_cut >= (0 if "q" in stop else 8)


def test_a_stop_string_over_several_tokens_ends_a_row_at_once(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two stop strings that end together the longer one is cut before."""
    ids = tokenizer("#### 18\n\nQuestion: How", add_special_tokens=False)["input_ids"]
    calls = []
    model = make_llama()
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    settings = SamplingSettings(60, stop=("\nQuestion:", "\n\nQuestion:"))
    found = scripted(lambda: model, tokenizer, monkeypatch, ids, settings)
    assert (found.text, found.finish_reason) == ("#### 18", "stop")
    assert found.token_ids == tokenizer("#### 18", add_special_tokens=False)["input_ids"]
    assert len(calls) == len(tokenizer("#### 18\n\nQuestion:", add_special_tokens=False)["input_ids"])


def test_a_stop_string_that_the_last_token_completes(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tokenizer("18\nQuestion:", add_special_tokens=False)["input_ids"]
    for room, expected in ((len(ids), ("18", "stop")), (len(ids) - 1, ("18\nQuestion", "length"))):
        found = scripted(make_llama, tokenizer, monkeypatch, ids, SamplingSettings(room, stop=("\nQuestion:",)))
        assert (found.text, found.finish_reason) == expected


def test_ids_are_made_anew_where_a_token_goes_over_the_cut(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """' cookies' is one token; cut before 'kies' the text ends in ' coo', which no first tokens of the response give."""
    ids = tokenizer("Tom has cookies", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids[-1:]) == " cookies"
    found = scripted(make_llama, tokenizer, monkeypatch, ids, SamplingSettings(20, stop=("kies",)))
    assert found.text == "Tom has coo"
    assert found.token_ids == tokenizer("Tom has coo", add_special_tokens=False)["input_ids"]
    assert found.token_ids[:-1] != ids[:-1]


def test_a_character_of_several_tokens(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tokenizer("Tom é", add_special_tokens=False)["input_ids"]
    assert "�" in tokenizer.decode(ids[:-1])
    found = scripted(make_llama, tokenizer, monkeypatch, ids, SamplingSettings(20, stop=("é",)))
    assert (found.text, found.finish_reason) == ("Tom ", "stop")


def test_the_name_of_a_control_token_is_that_token(
    make_llama: Callable[..., Any], tokenizer: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text never has it: special tokens are left out."""
    ids = tokenizer("Tom", add_special_tokens=False)["input_ids"]
    found = scripted(make_llama, tokenizer, monkeypatch, [*ids, tokenizer.bos_token_id, 5], SamplingSettings(20, stop=("<s>",)))
    assert (found.text, found.token_ids, found.finish_reason) == ("Tom", ids, "stop")


def test_training_ends_the_cut_response_with_the_end_token(tokenizer: Any) -> None:
    whole = tokenizer("18\nQuestion:", add_special_tokens=False)["input_ids"]
    ids, text = StopStrings(tokenizer, ["\nQuestion:"]).cut(whole) or ([], "")
    candidate = Candidate(problem_id="p", index=0, text=text, token_ids=ids, finish_reason="stop")
    assert tokenizer.decode(encode_candidate(tokenizer, candidate)) == "18</s>"


def test_few_tokens_are_looked_into(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of token once, and a few tokens each time that there is a colon."""
    ids = tokenizer("Tom: 3 apples, 4 pears\n" * 20 + "Zoe: 1: 2: 3", add_special_tokens=False)["input_ids"]
    stops = stops_of(tokenizer, [2], ["Question:"])
    decoded = []
    assert stops.strings is not None
    monkeypatch.setattr(StopStrings, "_decode", lambda self, ids: decoded.append(len(ids)) or tokenizer.decode(ids))
    assert not any(stops.just_ended(ids[: number + 1]) for number in range(len(ids)))
    num_colons = sum(":" in tokenizer.decode([token]) for token in ids)
    assert len(decoded) == len(set(ids)) + num_colons < len(ids) / 2
    assert max(decoded) <= 20
