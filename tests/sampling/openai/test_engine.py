"""Asking a server: every candidate once, whatever the server does; and what is wrong with it in words."""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="openai is not installed: pip install 'aftune[openai]'")

import own_processes
from aftune.common import interrupts
from aftune.common.errors import DataError, UsageError
from aftune.errors import UnansweredError
from aftune.records import Candidate, Problem, read_records
from aftune.sampling import Request, SamplingSettings
from aftune.sampling.collect import Asked, Draw, collect_candidates
from aftune.sampling.openai.engine import OpenAIEngine
from aftune.sampling.openai.manner import Own
from aftune.sampling.openai.server import ServerSettings
from faulty_server import FAULTS, FaultyServer, running

SETTINGS = SamplingSettings(max_new_tokens=20, temperature=1.0, stop=("\nQ:",))
ASKED = Asked(lambda problem: [ord(letter) for letter in problem.question], lambda problem: problem.question)
OWN = Own(len, frozenset([0]))


def answer(body: dict[str, Any]) -> str:
    return f" answer {body['seed'] % 1000}\nQ: what else?"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with running(FaultyServer(answer)) as server:
        yield server


def engine_for(server: FaultyServer, **changes: Any) -> OpenAIEngine:
    options = {"timeout": 0.3, "attempts": 8, "first_wait": 0.001} | changes
    concurrency, api, own = options.pop("concurrency", 8), options.pop("api", "completions"), options.pop("own", OWN)
    return OpenAIEngine(ServerSettings(server.base_url, **options), api, concurrency, own)


def problems(number: int) -> list[Problem]:
    return [Problem(id=f"p{n}", task="t", question=f"question {n}", gold_answer="1") for n in range(number)]


def one(engine: OpenAIEngine, **settings: Any) -> Any:
    request = Request([1, 2, 3], 5, "p", "abc")
    ((_, completion),) = engine.complete([request], SamplingSettings(**({"max_new_tokens": 20} | settings)))
    return completion


def test_what_is_asked_and_what_is_made_of_the_answer(server: FaultyServer) -> None:
    completion = one(engine_for(server), temperature=0.7, top_p=0.9, stop=("\nQ:",))
    assert (completion.text, completion.finish_reason, completion.token_ids) == (" answer 5", "stop", None)
    assert completion.told == {"prompt_tokens": 3, "completion_tokens": 3}
    asked = server.asked[-1]
    assert asked == {
        "model": "small", "prompt": [1, 2, 3], "max_tokens": 20, "temperature": 0.7, "top_p": 0.9, "seed": 5, "stop": ["\nQ:"],
    }  # fmt: skip


def test_texts_where_the_server_takes_no_ids_and_messages_in_chat_style(server: FaultyServer) -> None:
    server.takes_ids = False
    one(engine_for(server))
    assert server.asked[-1]["prompt"] == "abc"
    one(engine_for(server, api="chat", own=None))
    assert server.asked[-1]["messages"] == [{"role": "user", "content": "abc"}]


def test_servers_that_add_settings_of_their_own_are_told_not_to(server: FaultyServer) -> None:
    server.owner = "vllm"
    one(engine_for(server))
    assert {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}.items() <= server.asked[-1].items()
    one(engine_for(server, extra={"min_p": 0.1}), top_k=7)
    assert (server.asked[-1]["top_k"], server.asked[-1]["min_p"]) == (7, 0.1)


def test_a_thousand_requests_with_a_tenth_of_each_fault(server: FaultyServer, tmp_path: Path) -> None:
    """Seven of ten answers are bad. What has no answer after all attempts is asked for by the next run; nothing comes twice."""
    path, draw, number = tmp_path / "candidates.jsonl", Draw(SETTINGS, 4, 1), 0
    engine = engine_for(server, concurrency=64, attempts=12)
    engine.batch_size = 64
    assert one(engine)  # gets to know the server before it is faulty
    server.faults, server.share = FAULTS, 0.1
    server.given.clear()
    while len(path.read_text().splitlines() if path.exists() else ()) < 1000:
        number += 1
        assert number < 6
        with suppress(UnansweredError):
            collect_candidates(engine, problems(250), ASKED, draw, path, "test")
    candidates = collect_candidates(engine, problems(250), ASKED, draw, path, "test")
    assert [(c.problem_id, c.index) for c in candidates] == [(f"p{n}", k) for n in range(250) for k in range(4)]
    assert len(path.read_text().splitlines()) == 1000
    for candidate in candidates:
        assert candidate.text == f" answer {(candidate.seed or 0) % 2**31 % 1000}"
        assert candidate.settings["engine"] == "openai"
    assert all(server.seen[fault] > 100 for fault in FAULTS)
    assert 8 < server.most_under_way <= 64


def ask_for_400(base_url: str, path: Path) -> None:
    engine = OpenAIEngine(ServerSettings(base_url), "completions", 64, None)
    collect_candidates(engine, problems(100), ASKED, Draw(SETTINGS, 4, 1), path, "x")


def test_killed_with_requests_under_way_nothing_is_asked_twice(server: FaultyServer, tmp_path: Path) -> None:
    """A process of its own, killed in the middle; the second one asks for what the first has no answer on disk for."""
    path = tmp_path / "candidates.jsonl"
    slow = server.answer
    server.answer = lambda body: (time.sleep(0.05), slow(body))[1]
    killed = own_processes.start(ask_for_400, server.base_url, path)
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_bytes().splitlines()) < 40:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    killed.join()
    kept = {(c.problem_id, c.index) for c in read_records(path, Candidate)} if path.read_bytes().endswith(b"\n") else None
    while server.under_way:
        time.sleep(0.01)
    server.asked.clear()
    server.answer = slow
    candidates = collect_candidates(engine_for(server, own=None), problems(100), ASKED, Draw(SETTINGS, 4, 1), path, "test")
    assert len(candidates) == len({(c.problem_id, c.index) for c in candidates}) == 400
    if kept is not None:
        assert len(server.asked) == 400 - len(kept) + 1  # and the first question, by which the server is got to know


def test_a_signal_ends_requests_under_way_at_once(server: FaultyServer, tmp_path: Path) -> None:
    """The server keeps eight requests waiting, and they still wait when the run has ended."""
    waiting, given = threading.Event(), server.answer

    def keep_waiting(body: dict[str, Any]) -> str:
        if len(server.asked) >= 9:  # the first question is the one by which the server is got to know
            os.kill(os.getpid(), signal.SIGTERM)
        if len(server.asked) > 1:
            waiting.wait(60)
        return given(body)

    server.answer = keep_waiting
    engine = engine_for(server, own=None, timeout=120.0)
    with pytest.raises(interrupts.Interrupted), interrupts.heard():
        collect_candidates(engine, problems(25), ASKED, Draw(SETTINGS, 4, 1), tmp_path / "candidates.jsonl", "test")
    assert server.under_way == 8
    waiting.set()
    while server.under_way:
        time.sleep(0.01)


def test_a_request_that_the_server_refuses_is_named_and_the_others_are_kept(server: FaultyServer, tmp_path: Path) -> None:
    engine, path = engine_for(server, attempts=2), tmp_path / "candidates.jsonl"
    one(engine)
    server.answer = lambda body: answer(body) if body["prompt"] != ASKED.ids(problems(4)[2]) else None  # type: ignore[return-value]
    with pytest.raises(UnansweredError, match=r"2 requests have no answer \(p2, p2: the answer has no text\); the others are kept"):
        collect_candidates(engine, problems(4), ASKED, Draw(SETTINGS, 2, 1), path, "test")
    assert {c.problem_id for c in read_records(path, Candidate)} == {"p0", "p1", "p3"}


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {"tokens": lambda prompt: len(prompt) + 1},
            {},
            r"counts 4 tokens for the first prompt, which has 3 here \(a seco",
        ),
        ({"tokens": lambda prompt: len(prompt) * 2}, {}, r"counts 6 tokens .*another tokenizer"),
        ({"models": ["one", "two"]}, {}, r"lists 2 models \(one, two\); name one in engine.model"),
        ({"models": None}, {}, r"lists 0 models \(none\)"),
        ({}, {"model": "three"}, "no such model or address"),
        ({"key": "secret-1"}, {}, "wants a key, and the environment has none"),
        ({"key": "secret-1"}, {"key": "secret-2"}, r"refuses the key \(status 401\)"),
    ],
)
def test_what_no_request_could_get_over_stops_at_once(
    server: FaultyServer, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(UsageError, match=message) as told:
        one(engine_for(server, **options))
    assert "secret" not in str(told.value)
    assert "secret" not in repr(engine_for(server, **options).server)


def test_only_texts_show_another_vocabulary(server: FaultyServer) -> None:
    """Ids are counted alike by every server; the probe is a text."""
    server.tokens = lambda prompt: len(prompt) if isinstance(prompt, list) else len(prompt) // 2
    with pytest.raises(UsageError, match=r"counts \d+ tokens for 'Ünïcode 漢字: 12345.*which has 54 here"):
        one(engine_for(server))


def test_no_server() -> None:
    engine = OpenAIEngine(ServerSettings("http://127.0.0.1:9/v1", attempts=1))
    with pytest.raises(UsageError, match=r"127.0.0.1:9/v1: no server answers there .*start it, or correct the address"):
        one(engine)


def test_a_server_that_never_answers_is_told(server: FaultyServer) -> None:
    server.faults, server.share = ("hang",), 1.0
    with pytest.raises(DataError, match=r"does not answer the first request: no answer within 0.1 s"):
        one(engine_for(server, timeout=0.1, attempts=2))


def test_the_server_decides_how_long_to_wait(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for(server, first_wait=1000.0)  # its Retry-After of 0.01 s counts, not ours
    one(engine)
    server.faults, server.share = ("429",), 0.5
    started = time.monotonic()
    for _ in range(5):
        one(engine)
    assert server.seen["429"] > 1
    assert time.monotonic() - started < 100


def test_a_server_without_usage_is_warned_of(server: FaultyServer) -> None:
    server.usage = False
    with pytest.warns(UserWarning, match="does not count tokens: whether it has our tokenizer is unknown"):
        one(engine_for(server))


def test_a_broken_off_generator_leaves_no_request_behind(server: FaultyServer) -> None:
    slow: Callable[[Any], str] = lambda body: (time.sleep(0.05), answer(body))[1]  # noqa: E731
    engine = engine_for(server, concurrency=4, timeout=5)
    one(engine)
    server.answer = slow
    running_requests = engine.complete([Request([n], n, str(n), "a") for n in range(100)], SETTINGS)
    next(running_requests)
    running_requests.close()
    number = len(server.asked)
    time.sleep(0.3)
    assert len(server.asked) == number < 100


def test_ids_of_the_server_are_kept_without_the_stop_token() -> None:
    from types import SimpleNamespace

    from aftune.sampling.openai.asking import completion_of

    choice = SimpleNamespace(text="ab\nQ: c", finish_reason="stop", token_ids=[5, 6, 7, 0])
    answered = SimpleNamespace(choices=[choice], usage=None)
    assert completion_of(answered, SamplingSettings(9), [0]).token_ids == [5, 6, 7]
    assert completion_of(answered, SETTINGS, [0]).token_ids is None  # they are those of the uncut text
    assert json.dumps(completion_of(answered, SETTINGS, [0]).text) == '"ab"'


def changed(server: FaultyServer, **changes: Any) -> None:
    """The server's answers have other values in their first choice."""

    def change(text: bytes) -> bytes:
        answer = json.loads(text)
        if "choices" in answer:
            answer["choices"][0] |= changes
        return json.dumps(answer).encode()

    server.change = change


def test_values_that_are_not_what_the_protocol_says(server: FaultyServer) -> None:
    """What else is known of a response is left out; the text counts."""
    for changes in (
        {"logprobs": {"token_logprobs": 7}},
        {"logprobs": {"token_logprobs": [-0.5, math.nan]}},
        {"logprobs": {"content": True}},
        {"logprobs": {"content": [1, {"logprob": None}]}},
        {"token_ids": [1, -2]},
        {"token_ids": [2**40]},
        {"token_ids": [True]},
        {"finish_reason": []},
    ):
        changed(server, **changes)
        completion = one(engine_for(server, logprobs=True))
        assert (completion.text[:7], completion.token_ids) == (" answer", None)
        assert completion.told == {"prompt_tokens": 3, "completion_tokens": 3}


def test_a_text_that_cannot_be_written_is_no_answer(server: FaultyServer) -> None:
    engine = engine_for(server, attempts=2)
    assert one(engine)
    changed(server, text="a\ud800")
    with pytest.raises(UnansweredError, match=r"p: the answer's text holds half of a surrogate pair"):
        one(engine)


@pytest.mark.parametrize("choices", [1.5, True, {}, [], ["a"]])
def test_choices_that_are_none(server: FaultyServer, choices: Any) -> None:
    engine = engine_for(server, attempts=2)
    assert one(engine)
    server.change = lambda text: json.dumps(json.loads(text) | {"choices": choices}).encode()
    with pytest.raises(UnansweredError, match="p: the answer has no text"):
        one(engine)


@pytest.mark.parametrize("row", [{"id": [1]}, {"id": 5}, {"id": None}])
def test_models_without_a_name_are_not_listed(server: FaultyServer, row: Any) -> None:
    server.change = lambda text: json.dumps({"object": "list", "data": [row]}).encode() if b'"list"' in text else text
    with pytest.raises(UsageError, match=r"the server lists 0 models \(none\); name one in engine\.model"):
        one(engine_for(server))
    server.models = ["small"]
    server.change = lambda text: text.replace(b'"owned_by": "test"', b'"owned_by": [1]')
    assert one(engine_for(server))
