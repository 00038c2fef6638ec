"""Verdicts: by both readings, of hostile answers, and those of real chat models."""

import contextlib
import gzip
import importlib.util
import json
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aftune.answers import CHOICE, MATH, NUMBER, TEXT, AnswerKind, NumberKind, judge
from aftune.answers.checker import Checker, _Worker
from aftune.answers.verdicts import TimedOut, judge_both

sys.path.insert(0, str(Path(__file__).parent))
from hostile_answers import hostile

needs_math_verify = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed: pip install 'aftune[math]'"
)


def test_both_readings() -> None:
    verdicts = judge_both(NUMBER, "The answer is 5.", "5")
    assert (verdicts["strict"].reason, verdicts["flexible"].reason) == ("no answer", "matched")


@needs_math_verify
def test_memory_of_a_worker_is_limited() -> None:
    with Checker(cpu_seconds=2, megabytes=400) as checker:
        with contextlib.suppress(TimedOut):
            assert not checker.equal("\\{" + ",".join(str(n) for n in range(900)) + "\\}", "2^{2^{33}} + x")
        assert checker.equal("\\sqrt{8}", "2\\sqrt{2}")


@needs_math_verify
def test_a_worker_that_the_machine_keeps_waiting_is_not_timed_out() -> None:
    """The worker stands still for three times the limit before it gets to the comparison: only its own processor time counts."""
    with Checker(cpu_seconds=0.7) as checker:
        assert checker.equal("\\sqrt{8}", "2\\sqrt{2}")
        (pid,) = checker.process_ids
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(2.1, os.kill, (pid, signal.SIGCONT)).start()
        assert checker.equal("\\sqrt{12}", "2\\sqrt{3}")
        assert checker.process_ids == [pid]


@needs_math_verify
def test_each_thread_that_compares_has_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both comparisons have begun before either is done; later ones find a worker that is there."""
    both = threading.Barrier(2, timeout=60)
    ask = _Worker.ask

    def together(worker: _Worker, *given: Any) -> str | None:
        both.wait()
        return ask(worker, *given)

    pairs = [("\\sqrt{8}", "2\\sqrt{2}"), ("\\sqrt{8}", "2\\sqrt{3}")]
    with Checker() as checker, ThreadPoolExecutor(2) as threads:
        monkeypatch.setattr(_Worker, "ask", together)
        assert list(threads.map(lambda pair: checker.equal(*pair), pairs)) == [True, False]
        workers = checker.process_ids
        assert len(set(workers)) == 2
        monkeypatch.setattr(_Worker, "ask", ask)
        assert checker.equal("\\sqrt{12}", "2\\sqrt{3}")
        assert checker.process_ids == workers


@needs_math_verify
def test_what_timed_out_is_taken_up_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    ask = _Worker.ask

    def first_one_fails(worker: _Worker, answer: str, gold: str, seconds: float) -> str | None:
        asked.append(seconds)
        return None if len(asked) == 1 else ask(worker, answer, gold, seconds)

    monkeypatch.setattr(_Worker, "ask", first_one_fails)
    with Checker(cpu_seconds=0.7) as checker:
        assert checker.equal("\\sqrt{8}", "2\\sqrt{2}")
        assert asked == [0.7, 1.4]
        monkeypatch.setattr(_Worker, "ask", lambda *_: None)
        with pytest.raises(TimedOut, match=r"not finished within 1\.4 s of computing"):
            checker.equal("\\sqrt{12}", "2\\sqrt{3}")


@pytest.mark.parametrize("kind", [NUMBER, CHOICE, TEXT], ids=lambda kind: kind.name)
def test_a_thousand_hostile_answers(kind: AnswerKind) -> None:
    """None takes two seconds of the processor, none is right, and reading them all leaves no memory behind."""
    answers = hostile(1000)
    judge(kind, answers[0], "4321", "flexible", ["4321", "4322"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest = 0.0
    for text in answers:
        for reading in ("strict", "flexible"):
            started = time.process_time()  # no worker: a busy machine makes no difference
            verdict = judge(kind, text, "4321", reading, ["4321", "4322"])
            slowest = max(slowest, time.process_time() - started)
            assert not verdict.right or kind is CHOICE, text[:100]
    assert slowest < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kilobytes
    assert not os.path.exists("PWNED")


@needs_math_verify
def test_hostile_expressions() -> None:
    """The first thirty; `python tests/answers/hostile_answers.py` does a thousand, in some minutes."""
    slowest = 0.0
    for text in hostile(30):
        started = time.process_time()  # of reading; the limits of the workers are their own
        assert not judge(MATH, text, "\\sqrt{4321}", "flexible").right
        slowest = max(slowest, time.process_time() - started)
    assert slowest < 2
    assert judge(MATH, "\\boxed{\\sqrt{8}}", "2\\sqrt{2}").right
    assert not os.path.exists("PWNED")


UNREADABLE = {  # answers that no verdict is given for, by the flexible reading
    "Meta-Llama-3-8B-Instruct": {559: "4x - 4", 753: "86, 42", 1001: "2:10 pm"},
    "Phi-3.5-mini-instruct": {
        753: "86 glasses, 42 plates",
        906: "4 blue, 6 red",
        1001: "3:00 pm",
        1017: "27 selfies, 18 portraits",
    },
    "Qwen2-7B-Instruct": {635: "unlimited", 753: "86 glasses and 42 plates", 973: "1.5x + 4", 1001: "2:00 pm"},
    "gemma-2-2b-it": {216: "Not possible", 429: "6, 7", 472: "Not possible", 753: "86, 42", 1001: "2:00"},
}
COUNTS = {  # matched, different, ambiguous, no answer: flexible; then matched by the strict reading of the JSON field
    "Meta-Llama-3-8B-Instruct": (1035, 281, 3, 0, 1035),
    "Phi-3.5-mini-instruct": (1129, 180, 8, 2, 1120),
    "Qwen2-7B-Instruct": (1055, 259, 4, 1, 1055),
    "gemma-2-2b-it": (697, 611, 5, 6, 696),
}


@pytest.mark.parametrize("model", COUNTS)
def test_every_answer_of_a_chat_model_is_read_or_listed(data_dir: Path, model: str) -> None:
    with gzip.open(data_dir / "candidates" / "zeroeval_gsm" / f"{model}.json.gz") as file:
        rows = json.load(file)
    golds = [row["answer"].lstrip("# ").strip() for row in rows]
    answered = [(row["output"][0], gold) for row, gold in zip(rows, golds, strict=True)]
    flexible = [judge(NUMBER, text, gold, "flexible") for text, gold in answered]
    strict = [judge(NumberKind(form="json"), text, gold, "strict") for text, gold in answered]
    reasons = Counter(verdict.reason for verdict in flexible)
    counts = (reasons["matched"], reasons["different"], reasons["ambiguous"], reasons["no answer"])
    assert (*counts, sum(verdict.right for verdict in strict)) == COUNTS[model]
    unread = {index: verdict.detail for index, verdict in enumerate(flexible) if verdict.answer is None}
    assert len(unread) == counts[2] + counts[3]
    for index, detail in UNREADABLE[model].items():
        assert unread[index] == detail


def test_a_reading_or_form_that_does_not_exist_is_said() -> None:
    with pytest.raises(ValueError, match="reading is 'flexibel', expected strict or flexible"):
        judge(NUMBER, "#### 18", "18", "flexibel")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="form is 'jsn', expected hashes, boxed, phrase, json"):
        judge(NumberKind(form="jsn"), "#### 18", "18")  # type: ignore[arg-type]
