"""Adapters: what is trained, what is computed with them, and what is refused."""

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from aftune.common.errors import DataError, UsageError
from aftune.models.abilities import abilities
from aftune.models.adapters import add_adapter, base_of, check_adapter, has_adapter, merged
from aftune.models.loading import load_model
from aftune.recipe import AdapterSection, ModelSection
from aftune.scoring import score_groups
from judge import GROUPS, assert_scores, expected_scores

CPU = ModelSection(device="cpu", precision="float32")


def adapted(model: Any, **settings: Any) -> Any:
    """A copy with an adapter whose weights are not those that change nothing."""
    made = add_adapter(deepcopy(model), AdapterSection(**{"kind": "lora", "rank": 4, **settings}))
    generator = torch.Generator().manual_seed(0)
    for name, weight in made.named_parameters():
        if weight.requires_grad and "lora" in name:
            weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
    return made.eval()


@pytest.fixture(autouse=True)
def _needs_peft() -> None:
    pytest.importorskip("peft", reason="PEFT is not installed: pip install 'aftune[peft]'")


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_new_adapter_changes_nothing_and_is_all_that_is_trained(llama: Any, kind: str) -> None:
    made = add_adapter(deepcopy(llama), AdapterSection(kind=kind, targets="all-linear", rank=2))
    assert_scores(score_groups(made, GROUPS), expected_scores(llama, GROUPS), 1e-5)
    trained = {name for name, weight in made.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    layers = {name.rpartition(".lora_")[0].rpartition(".")[2] for name in trained}
    assert layers == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


@pytest.mark.parametrize(
    ("settings", "chunked_head"),
    [({}, True), ({"targets": "all-linear"}, True), ({"targets": ["lm_head"]}, False), ({"modules_to_save": ["lm_head"]}, False)],
)
@pytest.mark.filterwarnings("ignore:.* after the head")
def test_scores_with_an_adapter_in_place_and_merged(llama: Any, settings: dict[str, Any], chunked_head: bool) -> None:
    """Both equal a plain forward pass of the adapted model; the prompt is still computed once for its responses, and only a head
    that is adapted itself is not computed in chunks."""
    made = adapted(llama, **settings)
    expected = expected_scores(made, GROUPS)
    assert expected != expected_scores(llama, GROUPS)
    assert_scores(score_groups(made, GROUPS), expected, 1e-5)
    assert abilities(base_of(made)).shared_prefix
    assert abilities(base_of(made)).chunked_head == chunked_head
    assert_scores(score_groups(merged(deepcopy(made)), GROUPS), expected, 1e-5)


def test_a_folder_with_an_adapter_is_loaded_with_its_base(llama: Any, tmp_path: Path) -> None:
    llama.save_pretrained(tmp_path / "base")
    base = load_model(str(tmp_path / "base"), CPU)
    made = adapted(base)
    made.save_pretrained(tmp_path / "adapter")
    assert has_adapter(tmp_path / "adapter")
    section = CPU.model_copy(update={"name": str(tmp_path / "base")})
    expected = expected_scores(made, GROUPS)
    assert_scores(score_groups(load_model(str(tmp_path / "adapter"), section), GROUPS), expected, 1e-5)
    itself = CPU.model_copy(update={"name": str(tmp_path / "adapter")})  # its own base is the one that the folder names
    assert_scores(score_groups(load_model(str(tmp_path / "adapter"), itself), GROUPS), expected, 1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": ["q_prj"]}, r"adapter\.targets: the model has no layer 'q_prj'; the nearest are q_proj, "),
        ({"modules_to_save": ["head"]}, r"adapter\.modules_to_save: the model has no layer 'head'; the nearest are lm_head"),
    ],
)
def test_layers_that_do_not_exist(llama: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        add_adapter(deepcopy(llama), AdapterSection(kind="lora", **settings))


def test_what_cannot_be_trained_here(monkeypatch: pytest.MonkeyPatch) -> None:
    check_adapter(AdapterSection(kind="lora"))
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'aftune\[peft\]'"):
        check_adapter(AdapterSection(kind="lora"))
    check_adapter(AdapterSection())


@pytest.fixture
def folders(llama: Any, tmp_path: Path) -> tuple[Path, Path]:
    """A base model, and an adapter that names it."""
    base, folder = tmp_path / "base", tmp_path / "adapter"
    llama.save_pretrained(base)
    adapted(load_model(str(base), CPU)).save_pretrained(folder)
    assert load_model(str(folder), ModelSection(name=str(folder), device="cpu", precision="float32"))
    return base, folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_model_name_or_path": 7}, r"names no base model; set base_model_name_or_path"),
        ({"base_model_name_or_path": "./nowhere"}, r"its base model: model\.name: nowhere holds no model"),
        ({"base_model_name_or_path": "FOLDER"}, r"names itself as the base model; correct base_model_name_or_path"),
        ({"revision": "v1"}, r"its base model: model\.revision: is 'v1', but model\.name .* is on this machine"),
    ],
)
def test_an_adapter_without_its_base(folders: tuple[Path, Path], changes: dict[str, Any], message: str) -> None:
    _, folder = folders
    config = folder / "adapter_config.json"
    changes = {key: str(folder) if value == "FOLDER" else value for key, value in changes.items()}
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    with pytest.raises(DataError, match=rf"adapter_config\.json: {message}"):
        load_model(str(folder), ModelSection(name=str(folder), device="cpu", precision="float32"))


@pytest.mark.parametrize("damage", ["cut off", "no JSON", "another rank", "missing weights"])
def test_a_damaged_adapter(folders: tuple[Path, Path], damage: str) -> None:
    """Missing weights would be made anew, as such that change nothing."""
    base, folder = folders
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-10])
    elif damage == "no JSON":
        config.write_text("{")
    elif damage == "another rank":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 3}))
    else:
        held = load_file(weights)
        save_file({name: weight for name, weight in held.items() if "layers.1." not in name}, weights)
    with pytest.raises(DataError, match=r"adapter: the adapter could not be loaded \(.*\); correct its files or get them again"):
        load_model(str(folder), ModelSection(name=str(base), device="cpu", precision="float32"))
