"""Loading models and tokenizers, and what is said when that fails."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from aftune.common.errors import DataError, UsageError
from aftune.models.devices import pick_device
from aftune.models.loading import (
    BUNDLED,
    configured_stop_ids,
    context_length,
    empty_model,
    load_config,
    load_model,
    load_tokenizer,
    resolve,
    stop_token_ids,
)
from aftune.models.saving import saved_dtype
from aftune.recipe import ModelSection

CPU = ModelSection(device="cpu", precision="float32")


@pytest.fixture
def saved(llama: Any, tokenizer: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    llama.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_saved_model_comes_back_the_same(saved: Path, llama: Any, tokenizer: Any) -> None:
    model = load_model(str(saved), CPU)
    assert not model.training
    ids = torch.tensor([[1, 5, 6]])
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, llama(input_ids=ids).logits)
    text = "12+3=15\n"
    assert load_tokenizer(str(saved))(text)["input_ids"] == tokenizer(text)["input_ids"]


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision(saved: Path, precision: str, dtype: torch.dtype) -> None:
    section = ModelSection(device="cpu", precision=precision)
    assert {p.dtype for p in load_model(str(saved), section).parameters()} == {dtype}
    assert {p.dtype for p in load_model(str(saved), section, float32=True).parameters()} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_run_saves_the_type_of_its_base(make_llama: Callable[..., Any], tmp_path: Path, dtype: torch.dtype) -> None:
    """As the configuration says, or where it says nothing the weights; unless the recipe names another."""
    make_llama().to(dtype).save_pretrained(tmp_path)
    section = ModelSection(name=str(tmp_path), device="cpu")
    assert saved_dtype(section) == dtype
    settings = json.loads((tmp_path / "config.json").read_text())
    del settings["dtype"]
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert saved_dtype(section) == dtype
    for name in ("float32", "bfloat16", "float16"):
        assert saved_dtype(section.model_copy(update={"save_dtype": name})) == getattr(torch, name)


def test_bundled_model_and_tokenizer_fit_together() -> None:
    tokenizer = load_tokenizer(BUNDLED)
    model = load_model(BUNDLED, CPU)
    assert model.config.vocab_size >= len(tokenizer)
    assert stop_token_ids(model, tokenizer) == [tokenizer.eos_token_id]
    assert sum(p.numel() for p in model.parameters()) <= 2_000_000
    weights = Path(resolve(BUNDLED)) / "model.safetensors"
    assert weights.stat().st_size <= 5_000_000
    assert tokenizer.convert_ids_to_tokens(tokenizer("1234", add_special_tokens=False)["input_ids"]) == ["1", "2", "3", "4"]


def test_names_and_folders(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    assert resolve(str(saved)) == str(saved)
    monkeypatch.chdir(tmp_path)
    assert resolve("model") == "model"
    for missing in (str(tmp_path / "nowhere"), "./nowhere", "a/b/c", "~/no-such-folder-here"):
        with pytest.raises(DataError, match=r"holds no model \(config\.json is missing\)"):
            resolve(missing)


@pytest.mark.parametrize("name", [BUNDLED, "model"])
def test_what_is_on_this_machine_has_no_revisions(saved: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(saved.parent)
    with pytest.raises(UsageError, match=rf"model\.revision: is 'v1', but model\.name '{name}' is on this machine"):
        resolve(name, "v1")
    assert resolve("some/model", "v1") == "some/model"


def test_folder_without_tokenizer(saved: Path) -> None:
    (saved / "tokenizer.json").unlink()
    with pytest.raises(DataError, match=r"model has no tokenizer \(tokenizer\.json is missing\)"):
        load_tokenizer(str(saved))


def test_broken_tokenizer(saved: Path) -> None:
    (saved / "tokenizer.json").write_text('{"version": "1.0", ')
    with pytest.raises(DataError, match=r"the tokenizer of .* could not be loaded"):
        load_tokenizer(str(saved))


def test_tokenizer_without_end_token(saved: Path, tokenizer: Any) -> None:
    from copy import deepcopy

    bare = deepcopy(tokenizer)
    bare.eos_token = None
    bare.save_pretrained(saved)
    with pytest.raises(DataError, match="has no end-of-sequence token; set eos_token"):
        load_tokenizer(str(saved))


@pytest.mark.parametrize("damage", ["missing", "cut off", "other format", "config"])
def test_broken_model(saved: Path, damage: str) -> None:
    weights = saved / "model.safetensors"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "other format":
        shutil.move(weights, saved / "pytorch_model.bin")
    else:
        (saved / "config.json").write_text('{"model_type": "no-such-architecture"}')
    with pytest.raises(DataError, match=r"the model of .* could not be loaded"):
        load_model(str(saved), CPU)


def test_config_without_download(saved: Path) -> None:
    assert load_config(str(saved)).max_position_embeddings == 256
    assert load_config("no-such-owner/no-such-model") is None


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 1024}, 1024),
        ({"n_positions": 512}, 512),
        ({"max_position_embeddings": None, "n_positions": 512}, 512),
        ({}, 2**31),
    ],
)
def test_context_length(config: Any, length: int) -> None:
    assert context_length(SimpleNamespace(**config)) == length


@pytest.mark.parametrize(("configured", "expected"), [(None, [2]), (2, [2]), (7, [2, 7]), ([9, 7], [2, 7, 9]), ([2], [2])])
def test_stop_tokens(make_llama: Callable[..., Any], tokenizer: Any, configured: Any, expected: Any) -> None:
    model = make_llama()
    model.generation_config.eos_token_id = configured
    assert stop_token_ids(model, tokenizer) == expected


def test_device() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") in ("cpu", "cuda", "mps")


def test_stop_ids_before_a_model_is_loaded(saved: Path) -> None:
    """From the generation configuration, else from the configuration."""
    for written, expected in ((7, [7]), ([7, 9], [7, 9]), (None, [])):
        (saved / "generation_config.json").write_text(json.dumps({"eos_token_id": written}))
        assert configured_stop_ids(str(saved)) == expected
    (saved / "generation_config.json").unlink()
    assert configured_stop_ids(str(saved)) == [2]


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_weights_that_are_missing_are_not_made_up(saved: Path) -> None:
    """transformers gives random ones, and a warning."""
    change(saved / "config.json", num_hidden_layers=3)
    with pytest.raises(
        DataError, match=r"the files of '.*model' lack 9 weights of the model \(model\.layers\.2\..*, \.\.\.\); get"
    ):
        load_model(str(saved), CPU)


@pytest.mark.parametrize("changes", [{"vocab_size": True}, {"head_dim": [[8]]}, {"rope_parameters": 1}, {"hidden_act": []}])
def test_values_of_other_types_in_a_configuration(saved: Path, changes: dict[str, Any]) -> None:
    change(saved / "config.json", **changes)
    for load in (load_config, load_tokenizer, lambda name: load_model(name, CPU)):
        with pytest.raises(
            DataError, match=r"of '.*model' could not be loaded \(.*\); correct its files or get them again"
        ) as caught:
            load(str(saved))
        assert len(str(caught.value).splitlines()) == 1


def test_a_configuration_of_no_model(saved: Path) -> None:
    change(saved / "config.json", rope_parameters={"rope_type": [], "rope_theta": 1.0})
    with pytest.raises(DataError, match=r"model' could not be loaded"):
        empty_model(load_config(str(saved)))


def test_a_broken_configuration_is_not_a_missing_one(saved: Path) -> None:
    (saved / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"the configuration of '.*model' could not be loaded"):
        load_config(str(saved))


@pytest.mark.parametrize("changes", [{"model_max_length": "long"}, {"tokenizer_class": [1]}])
def test_a_tokenizer_that_cannot_encode(saved: Path, changes: dict[str, Any]) -> None:
    change(saved / "tokenizer_config.json", **changes)
    with pytest.raises(DataError, match=r"the tokenizer of '.*model' could not be loaded"):
        load_tokenizer(str(saved))


@pytest.mark.parametrize("value", [[[2]], "2", {}, [True], 1.5])
def test_a_stop_id_is_a_number(saved: Path, value: Any) -> None:
    change(saved / "generation_config.json", eos_token_id=value)
    with pytest.raises(DataError, match=r"a token id in .* of '.*model' is .*, expected a whole number or a list of them"):
        configured_stop_ids(str(saved))


def test_memory_that_runs_out_is_no_damage(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr("aftune.models.loading.AutoModelForCausalLM.from_pretrained", full)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        load_model(str(saved), CPU)
