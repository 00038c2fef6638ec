"""Fixtures for all tests: a tiny random model, the bundled tokenizer, and the folder of real data where there is one."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("aftune", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("aftune")

ROOT = Path(__file__).resolve().parents[1]

gc.disable()  # while tests are collected: looking for garbage among what is imported takes a fifth of the time


def pytest_collection_finish(session: pytest.Session) -> None:
    """Whatever was imported is looked at no more when garbage is collected, which stages do after themselves."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums in one order, and no thread that waits for another."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets, named by AFT_DATA_DIR."""
    folder = os.environ.get("AFT_DATA_DIR")
    if not folder:
        pytest.skip("AFT_DATA_DIR is not set: it names the folder with the public data sets (gsm8k/train.jsonl and so on)")
    return Path(folder)


@pytest.fixture(scope="session")
def model_dir() -> Path:
    """The folder of small real models, named by AFT_MODEL_DIR."""
    folder = os.environ.get("AFT_MODEL_DIR")
    if not folder:
        pytest.skip("AFT_MODEL_DIR is not set: it names the folder with real models (smollm2-135m-instruct, gemma3-270m)")
    return Path(folder)


@pytest.fixture(scope="session")
def small_finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `small_run`'s recipe, called `a small run`, that no test changes. Tests that use it are of the group `look`."""
    import small_run
    from aftune.pipeline.runner import run_stages

    folder = tmp_path_factory.mktemp("runs") / "finished"
    sections: dict[str, Any] = {
        "task": {"train": "train[:12]", "validation": "validation[:4]", "test": "test[:8]"},
        "sft": {"num_epochs": 1},
        "align": {"num_epochs": 1},
        "sample": {"temperature": 1.0},
        "evaluate": {"num_candidates": 3, "temperature": 1.0},
    }
    wanted = small_run.recipe(folder, **sections).model_copy(update={"name": "a small run"})
    run_stages(wanted, report=lambda line: None)
    return folder


@pytest.fixture(scope="session")
def tokenizer():
    """The tokenizer that ships with the package."""
    from aftune.models.loading import load_tokenizer
    from aftune.recipe import BUNDLED

    return load_tokenizer(BUNDLED)


@pytest.fixture(scope="session")
def make_llama(tokenizer: Any) -> Callable:
    """Builds a Llama of about 50,000 parameters with random weights that follow from the seed.

    The weights are larger than usual, so that different tokens get clearly different probabilities.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    def build(seed: int = 0, **overrides: object) -> LlamaForCausalLM:
        settings = {
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 256,
            "initializer_range": 0.2,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return LlamaForCausalLM(LlamaConfig(**{**settings, **overrides})).eval()

    return build


@pytest.fixture(scope="session")
def llama(make_llama: Callable[..., Any]):
    """One tiny model that no test changes."""
    return make_llama()


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    """A real Ray cluster of two nodes on the loopback, with two places each, for tests of the group `ray`. It does not outlive its
    module: a process that is connected to one cannot be forked, which later tests do."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - else they starve beside other tests
    node = {"num_cpus": 2, "object_store_memory": 10**8}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.add_node(**node)
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    import ray

    ray.shutdown()
    made.shutdown()
    if before is None:
        del os.environ["RAY_ADDRESS"]


@pytest.fixture(autouse=True)
def _idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of a busy machine depends on the test alone."""
    monkeypatch.setattr("psutil.getloadavg", lambda: (0.0, 0.0, 0.0))
