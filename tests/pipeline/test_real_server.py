"""`transformers serve` with the bundled model, on the loopback: its greedy responses are ours, and its samples are a trap."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import small_run
from aftune.common.errors import DataError, UsageError
from aftune.models.loading import resolve
from aftune.pipeline.benchmark import benchmark
from aftune.pipeline.runner import run_stages

pytestmark = [
    pytest.mark.skipif(
        not all(map(find_spec, ("openai", "fastapi", "uvicorn"))), reason="no server: pip install 'transformers[serving]' openai"
    ),
    pytest.mark.xdist_group("real server"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        program,
        "serve",
        resolve("bundled"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--dtype",
        "float32",
    ]
    log = tmp_path_factory.mktemp("server") / "log"
    with open(log, "w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def test_greedy_responses_of_the_server_are_ours(address: str, tmp_path: Path) -> None:
    """It takes no ids and lists no models. Its accuracy is that of the model in this process, response by response."""
    with pytest.raises(UsageError, match=r"the server lists 0 models \(none\); name one in engine.model"):
        benchmark(address, "arithmetic", tmp_path / "x", [], split="test[:8]")
    named = [f"evaluate.engine.model={resolve('bundled')}", "evaluate.engine.concurrency=2", "evaluate.engine.same_tokenizer=true"]
    served = benchmark(address, "arithmetic", tmp_path / "served", named, split="test[:8]")
    own = benchmark("bundled", "arithmetic", tmp_path / "own", ["model.precision=float32", "model.device=cpu"], split="test[:8]")
    texts = [(tmp_path / name / "verdicts.jsonl").read_text() for name in ("served", "own")]
    assert texts[0] == texts[1]
    assert served["accuracy"] == own["accuracy"]


def test_its_samples_ignore_the_seed_which_is_noticed(address: str, tmp_path: Path) -> None:
    engine = {"kind": "openai", "base_url": address, "model": resolve("bundled"), "concurrency": 2}
    changes = {"task": {"train": "train[:8]"}, "sample": {"num_candidates": 2, "engine": engine}}
    recipe = small_run.recipe(tmp_path / "run", **changes)
    for stage in ("prepare", "sft"):
        run_stages(recipe, stage)
    with pytest.raises(DataError, match="all candidates of each of 8 problems are the same, so the server seems to ignore"):
        run_stages(recipe, "sample")
