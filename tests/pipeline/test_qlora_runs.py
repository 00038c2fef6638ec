"""Whole runs that train an adapter beside base weights in 4 bits."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import small_run
from aftune.common.errors import UsageError
from aftune.models.adapters import has_adapter
from aftune.models.four_bit import is_four_bit
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.runner import run_stages
from aftune.records import Problem
from aftune.tasks.arithmetic import Arithmetic

pytestmark = pytest.mark.xdist_group("qlora_runs")  # its fixtures are slow to make, so one process runs it all

STAGES = ("sft", "align")


@pytest.fixture(scope="module")
def base(make_llama: Callable[..., Any], tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose layers have inputs of 64 and 128, as bitsandbytes wants them on a CPU."""
    folder = tmp_path_factory.mktemp("base")
    make_llama(hidden_size=64, intermediate_size=128, max_position_embeddings=512).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def recipe(run_dir: Path, base: Path | str, **sections: Any) -> Any:
    return small_run.recipe(run_dir, adapter={"kind": "qlora", "rank": 4}, model={"name": str(base), "device": "cpu"}, **sections)


def problems() -> list[Problem]:
    """Those of the recipe, whose candidates are given: a random model writes none that have an answer."""
    return [*Arithmetic().problems("train", 0, 8), *Arithmetic().problems("test", 0, 4)]


def test_all_stages(base: Path, tmp_path: Path) -> None:
    """Every stage leaves an adapter and no merged model, and loads the base in 4 bits; the adapter's figures are its own."""
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
    texts = ("1+1=2\n#### 2", "It is\n#### 3", "#### 4", "#### 5", "#### 12")
    rows = [{"problem_id": problem.id, "text": text} for problem in problems() for text in (problem.rationale, *texts)]
    file = tmp_path / "candidates.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "run"
    settings = recipe(
        folder,
        base,
        task={"train": "train[:8]", "validation": "validation[:2]", "test": "test[:4]"},
        candidates={"format": "json_lines", "path": str(file)},
        sft={"num_epochs": 1},
        align={"num_epochs": 1},
        control={"enabled": False},
        evaluate={"num_candidates": 6, "max_new_tokens": 8},
    )
    run_stages(settings, report=lambda line: None)
    results = json.loads((folder / "metrics.json").read_text())["results"]
    assert len({values["reference_perplexity"] for values in results.values()}) == 3
    assert results["vft"]["reference_perplexity"] < results["base"]["reference_perplexity"]
    context = Context(settings, RunDirectory(folder))
    for stage in STAGES:
        assert {path.name for path in (folder / stage).iterdir()} == {"model", "log.json", "SHA256SUMS"}
        assert has_adapter(folder / stage / "model")
        assert is_four_bit(context.load_policy(stage).model.layers[0].mlp.up_proj)
    assert is_four_bit(context.load_policy("base").model.layers[0].self_attn.q_proj)


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """Before anything is done."""
    folder = tmp_path / "run"
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
    with pytest.raises(UsageError, match="layers whose inputs are a multiple of 64"):
        run_stages(recipe(folder, "bundled"), report=lambda line: None)
    assert not folder.exists()


def test_without_bitsandbytes(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    monkeypatch.setattr("aftune.common.extras.find_spec", lambda name: None if name == "bitsandbytes" else find_spec(name))
    with pytest.raises(UsageError, match=r"qlora needs bitsandbytes, not .*; pip install 'aftune\[qlora\]', or use lora"):
        run_stages(recipe(folder, base), report=lambda line: None)
    assert not folder.exists()
