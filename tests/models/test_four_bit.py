"""Base weights in 4 bits: what they are, that everything is computed with them, and what is refused."""

import sys
from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import UsageError
from aftune.models.abilities import Abilities, abilities
from aftune.models.adapters import add_adapter, base_of
from aftune.models.four_bit import check_four_bit, four_bit_settings
from aftune.models.loading import load_model
from aftune.models.probe import float32_weights
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import AdapterSection, ModelSection
from aftune.scoring import score_groups
from judge import GROUPS, assert_scores, expected_scores

pytestmark = pytest.mark.xdist_group("four_bit")  # its fixtures are slow to make, so one process runs it all

NEEDS = pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
TRAINED = [EncodedGroup("a", [1, 5], [[6, 7, 2], [8, 2]], [True, False], [1.0, 0.0])]
QLORA = AdapterSection(kind="qlora", rank=4, targets="all-linear")
# The 16 values of NF4, Dettmers et al. 2023, appendix E.
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(make_llama: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers have inputs of 64 and 128, in float32."""
    path = tmp_path_factory.mktemp("wide")
    make_llama(hidden_size=64, intermediate_size=128).save_pretrained(path)
    return path


def section(folder: Path, precision: str = "float32") -> ModelSection:
    return ModelSection(name=str(folder), device="cpu", precision=precision)


def four_bit(folder: Path, precision: str = "float32", **options: Any) -> Any:
    return load_model(str(folder), section(folder, precision), four_bit=True, **options)


def dequantised(folder: Path, precision: str = "float32") -> Any:
    """The same model with whole weights in float32, which have the values that its own stand for."""
    from bitsandbytes.functional import dequantize_4bit

    short, plain = four_bit(folder, precision), load_model(str(folder), section(folder))
    for name, weight in short.named_parameters():
        state = getattr(weight, "quant_state", None)
        if state is not None:
            state.dtype = torch.float32
        plain.get_parameter(name).data = weight.data.float() if state is None else dequantize_4bit(weight.data, state)
    return plain


@NEEDS
def test_weights_are_the_nearest_of_sixteen_values(folder: Path) -> None:
    """Each block of 64 is scaled by its largest absolute value and rounded to the nearest value of NF4. With the scales themselves
    in 8 bits the result is within 2 % of a block's largest value of that; the head, norms and embeddings are as they were."""
    plain, ours, codes = load_model(str(folder), section(folder)), dequantised(folder), torch.tensor(NF4)
    for name, layer in plain.named_modules():
        if isinstance(layer, torch.nn.Linear) and name != "lm_head":
            blocks = layer.weight.data.view(-1, 64)
            scales = blocks.abs().amax(1, keepdim=True)
            nearest = codes[((blocks / scales)[..., None] - codes).abs().argmin(-1)] * scales
            got = ours.get_submodule(name).weight.data.view(-1, 64)
            assert float(((got - nearest).abs() / scales).max()) < 0.02
        elif name == "lm_head":
            assert torch.equal(layer.weight, ours.lm_head.weight)


@NEEDS
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_scores_are_those_of_the_values(folder: Path, precision: str, recwarn: pytest.WarningsRecorder) -> None:
    """In float32, whatever the precision of the run; with a shared prompt and the head in chunks, of which neither is lost."""
    expected = expected_scores(dequantised(folder, precision), GROUPS)
    model = four_bit(folder, precision, float32=True)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    assert_scores(score_groups(model, GROUPS), expected, 2e-5)
    assert abilities(model) == Abilities(shared_prefix=True, chunked_head=True)
    short = four_bit(folder, precision)
    assert abilities(short) == Abilities(shared_prefix=True, chunked_head=True)
    assert_scores(score_groups(short, GROUPS), expected, 2e-5 if precision == "float32" else 0.1)
    assert not [warning for warning in recwarn.list if "LlamaForCausalLM" in str(warning.message)]
    after = model.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())  # the probe leaves them alone
    assert {layer.compute_dtype for layer in short.modules() if hasattr(layer, "compute_dtype")} == {getattr(torch, precision)}


@NEEDS
def test_the_probe_computes_in_float32(folder: Path) -> None:
    """Where 4-bit layers computed in bfloat16, the rounding of other sums could hide or feign a fault of a shortcut."""
    model, ids = four_bit(folder, "bfloat16"), torch.tensor([[1, 40, 41, 42, 50, 51, 52, 2]])
    with torch.no_grad():
        expected = dequantised(folder, "bfloat16")(input_ids=ids).logits
        with float32_weights(model):
            torch.testing.assert_close(model(input_ids=ids).logits, expected, rtol=0, atol=1e-4)
        assert float((model(input_ids=ids).logits - expected).abs().max()) > 1e-2


@NEEDS
def test_only_the_adapter_has_gradients(folder: Path) -> None:
    """And they are those of the same adapter on whole weights with these values."""
    model, plain = (add_adapter(base, QLORA) for base in (four_bit(folder), dequantised(folder)))
    gradients = []
    for made in (model, plain):
        generator = torch.Generator().manual_seed(0)
        for name, weight in made.named_parameters():
            if weight.requires_grad:
                assert "lora_" in name
                assert weight.dtype == torch.float32
                weight.data = 0.2 * torch.randn(weight.shape, generator=generator)
        ids = torch.tensor([[1, 40, 41, 42, 50, 51, 52, 2]])
        made(input_ids=ids, labels=ids).loss.backward()
        gradients.append({name: weight.grad for name, weight in made.named_parameters() if weight.requires_grad})
    ours, theirs = gradients
    assert len(ours) == 2 * 7 * 2
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-5)


@NEEDS
def test_an_adapter_comes_back_onto_the_same_weights(folder: Path, tmp_path: Path) -> None:
    made = add_adapter(four_bit(folder), QLORA).eval()
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            weight.data.fill_(0.05)
    made.save_pretrained(tmp_path)
    again = load_model(str(tmp_path), section(folder), four_bit=True)
    assert_scores(score_groups(again, GROUPS), expected_scores(made, GROUPS), 2e-5)
    assert abilities(base_of(made)) == Abilities(shared_prefix=True, chunked_head=True)


@NEEDS
def test_a_model_of_ones_own_in_four_bits_is_trained(folder: Path, tokenizer: Any, tmp_path: Path) -> None:
    """One that transformers and PEFT made, from Python: only the adapter changes."""
    import peft

    settings = four_bit_settings("cpu", torch.float32)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **settings)
    model = peft.get_peft_model(base, peft.LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear"))
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    args = AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, disable_tqdm=True, max_steps=2, learning_rate=1e-2)
    AlignmentTrainer(model, args, TRAINED, tokenizer).train()
    moved = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    assert moved == {name for name in before if "lora_" in name}


@NEEDS
def test_layers_in_four_bits_are_not_trained_whole(folder: Path) -> None:
    for name in ("q_proj", "self_attn"):
        saved = QLORA.model_copy(update={"targets": ["o_proj"], "modules_to_save": [name]})
        with pytest.raises(UsageError, match=rf"adapter\.modules_to_save: .*{name} is in 4 bits"):
            add_adapter(four_bit(folder), saved)
    saved = QLORA.model_copy(update={"modules_to_save": ["lm_head"]})
    assert add_adapter(four_bit(folder), saved).base_model.model.lm_head.weight.requires_grad


@NEEDS
def test_layers_that_a_cpu_computes_wrongly(llama: Any, tmp_path: Path) -> None:
    """bitsandbytes 0.50 mixes up the scales of blocks that are not within a row."""
    message = (
        r"qlora on a CPU needs layers whose inputs are a multiple of 64, and model\.layers\.0\..*q_proj has 32; use a CUDA GPU"
    )
    with pytest.raises(UsageError, match=message):
        check_four_bit("cpu", llama)
    check_four_bit("cuda", llama)
    deepcopy(llama).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=message):
        four_bit(tmp_path)


def test_what_cannot_be_had_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match=r"qlora needs bitsandbytes, not installed here; pip install 'aftune\[qlora\]'"):
        check_four_bit("cpu")
    monkeypatch.setattr("aftune.common.extras.find_spec", lambda name: object())
    check_four_bit("cpu")
    with pytest.raises(UsageError, match=r"qlora needs a CUDA GPU, or \(slowly\) a CPU, and model\.device is mps; use lora"):
        check_four_bit("mps")
