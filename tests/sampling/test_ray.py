"""A real Ray cluster of two nodes on the loopback: the same candidates with one worker and with two, also when one is killed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aftune.common.cluster import Places
from aftune.models.saving import save_policy
from aftune.records import Candidate, Problem
from aftune.sampling import SamplingSettings, TransformersEngine
from aftune.sampling.collect import Asked, Draw, collect_candidates
from aftune.sampling.ray import RayEngine

pytest.importorskip("ray", reason="ray is not installed: pip install 'aftune[ray]'")
pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.filterwarnings("ignore")]

SETTINGS = SamplingSettings(max_new_tokens=12, temperature=0.9)
PROBLEMS = [Problem(id=f"p{n}", task="t", question="Q" * (n % 5 + 1) + str(n), gold_answer="1") for n in range(24)]


class Watched:
    """A worker's engine; says in a folder which process it is and what it was asked, and takes its time."""

    separate = False

    def __init__(self, model: Path, folder: Path, pause: float) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.inner = TransformersEngine(AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model), 4)
        self.folder, self.pause, self.batch_size, self.origin = folder, pause, 4, {}

    def complete(self, requests: Any, settings: SamplingSettings) -> Iterator[Any]:
        (self.folder / f"{requests[0].name}-{requests[0].seed}-{os.getpid()}-{time.time_ns()}").touch()
        time.sleep(self.pause)
        return self.inner.complete(requests, settings)


@pytest.fixture(scope="module")
def model(make_llama: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_policy(make_llama(seed=5), tokenizer, folder, max_new_tokens=16)
    return folder


def sampled(model: Path, tokenizer: Any, folder: Path, workers: int, pause: float = 0.0) -> list[Candidate]:
    """Candidates of 24 problems, 3 each, in batches of 6 that workers get."""
    folder.mkdir()
    asked = Asked(lambda problem: tokenizer(problem.question)["input_ids"])
    engine = RayEngine(partial(Watched, model, folder, pause), 6, Places(workers))
    try:
        return collect_candidates(engine, PROBLEMS, asked, Draw(SETTINGS, 3, 7), folder / "candidates.jsonl", "test")
    finally:
        engine.close()


def here(model: Path, tokenizer: Any, folder: Path) -> list[Candidate]:
    """The same without a cluster, batch by batch in this process."""

    class Batches(Watched):
        def complete(self, requests: Any, settings: SamplingSettings) -> Iterator[Any]:
            for start in range(0, len(requests), 6):
                for place, completion in super().complete(requests[start : start + 6], settings):
                    yield start + place, completion

    folder.mkdir()
    asked = Asked(lambda problem: tokenizer(problem.question)["input_ids"])
    engine = Batches(model, folder, 0.0)
    engine.batch_size = 6
    return collect_candidates(engine, PROBLEMS, asked, Draw(SETTINGS, 3, 7), folder / "candidates.jsonl", "test")


def test_the_same_candidates_with_any_number_of_workers_and_when_one_dies(
    ray_cluster: Any, model: Path, tokenizer: Any, tmp_path: Path
) -> None:
    one = sampled(model, tokenizer, tmp_path / "one", 1)
    assert [(c.problem_id, c.index) for c in one] == [(f"p{n}", k) for n in range(24) for k in range(3)]
    assert len({c.text for c in one}) > 24
    assert [(c.text, c.seed) for c in here(model, tokenizer, tmp_path / "here")] == [(c.text, c.seed) for c in one]

    killed: list[int] = []

    def kill_one() -> None:
        while len(list((tmp_path / "killed").glob("p*"))) < 3:
            time.sleep(0.02)
        killed.append(int(min((tmp_path / "killed").glob("p*")).name.split("-")[2]))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    assert sampled(model, tokenizer, tmp_path / "killed", 2, pause=0.3) == one
    thread.join()
    begun = [path.name.split("-") for path in (tmp_path / "killed").glob("p*")]
    assert len({process for *_, process, _ in begun}) > 2, "another worker took the place of the one that was killed"
    batches = [(name, seed) for name, seed, *_ in begun]
    assert len(batches) > len(set(batches)) == 12, "its batch was done again"
