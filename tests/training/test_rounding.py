"""bfloat16 weights that are rounded at random: small updates count on average, and training resumes exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import set_seed

from aftune import AlignmentConfig, AlignmentTrainer
from aftune.common.errors import UsageError
from aftune.training.optimizers import check_optimizer
from aftune.training.rounding import round_at_random, with_rounding
from small_groups import GROUPS, SETTINGS


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_value_becomes_one_of_its_neighbours_as_often_as_it_is_near() -> None:
    """Between 1 and 2 the values of bfloat16 are 1/128 apart: 1 + 1/512 is a quarter of the way from 1 to the next, and so becomes
    it in a quarter of the cases: 25,000 of 100,000, give or take 4 standard deviations of sqrt(100,000 * 1/4 * 3/4) = 137. The
    same for its negative, which is mirrored."""
    for sign in (1.0, -1.0):
        rounded = round_at_random(torch.full((100_000,), sign * (1 + 1 / 512)), generator())
        assert rounded.dtype == torch.bfloat16
        assert set(rounded.tolist()) == {sign * 1.0, sign * (1 + 1 / 128)}
        assert abs(int((rounded != sign).sum()) - 25_000) < 4 * 137


def test_what_bfloat16_has_stays() -> None:
    """Every finite value of it, zeros, infinities and NaN."""
    values = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    rounded = round_at_random(values.float(), generator())
    assert torch.equal(values.isnan(), rounded.isnan())
    assert torch.equal(rounded[~values.isnan()].view(torch.int16), values[~values.isnan()].view(torch.int16))
    before = torch.rand(3)
    kept = before.clone()
    round_at_random(before, generator())
    assert torch.equal(before, kept)


def moved(
    name: type[torch.optim.Optimizer], rounded: bool, steps: int, dtype: torch.dtype = torch.bfloat16, **settings: Any
) -> float:
    """How far 20,000 weights of 1 have moved on average, in units of 1/128, after steps with a gradient of -1."""
    weight = torch.nn.Parameter(torch.ones(20_000, dtype=dtype))
    kind = with_rounding(name, seed=5) if rounded else name
    optimizer = kind([weight], **settings)
    for _ in range(steps):
        weight.grad = torch.full_like(weight, -1.0)
        optimizer.step()
        assert weight.dtype == dtype
    return float((weight.detach().double() - 1).mean()) * 128


def test_updates_of_a_thousandth_of_a_step_are_not_lost() -> None:
    """100 updates of 0.001/128 each are 0.1/128 in sum. A weight of 1 that is rounded to the nearest never moves. Rounded at
    random, each of the 20,000 moves by 1/128 with probability 0.001 a step: by 0.1/128 on average, with a standard deviation
    of sqrt(0.1 / 20,000) = 0.0022."""
    settings = {"lr": 0.001 / 128}
    assert moved(torch.optim.SGD, rounded=False, steps=100, **settings) == 0
    assert moved(torch.optim.SGD, rounded=True, steps=100, **settings) == pytest.approx(0.1, abs=4 * 0.0022)


def test_the_seed_and_the_step_decide() -> None:
    """The same numbers in every process, other ones in each step and for each seed."""

    def trained(seed: int, steps: int) -> torch.Tensor:
        weight = torch.nn.Parameter(torch.ones(1000, dtype=torch.bfloat16))
        optimizer = with_rounding(torch.optim.SGD, seed)([weight], lr=0.5 / 128)
        for _ in range(steps):
            weight.data.fill_(1)
            weight.grad = torch.full_like(weight, -1.0)
            optimizer.step()
        return weight.data

    assert torch.equal(trained(7, 1), trained(7, 1))
    different = [trained(seed, steps) for seed in (0, 1, 7) for steps in (1, 2)]
    for place, one in enumerate(different):
        for other in different[:place]:
            assert 400 < int((one != other).sum()) < 600  # half of them, give or take 6 standard deviations of 16


@pytest.mark.parametrize("name", [torch.optim.SGD, torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad])
def test_float32_weights_are_trained_as_ever(name: type[torch.optim.Optimizer]) -> None:
    settings = {"steps": 5, "dtype": torch.float32, "lr": 1e-3}
    assert moved(name, rounded=True, **settings) == moved(name, rounded=False, **settings) > 0


@pytest.mark.parametrize(
    "name", ["adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adamw_8bit", "paged_adamw_8bit", "lion_32bit"]
)
def test_optimizers_move_weights_as_in_float32(name: str, tmp_path: Path) -> None:
    """The mean over 16,384 weights between 1 and 2 after 20 steps of about 1e-4, a hundredth of what bfloat16 resolves there: a
    standard deviation of sqrt(20 * 0.0128 / 16,384) / 128 = 3.1e-5. The state is that of float32 weights."""
    if "8bit" in name or "lion" in name:
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
    means, types = [], []
    for dtype, weights in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
        args = AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, optim=name, weights=weights, learning_rate=1e-4)
        start = (1 + torch.rand(128, 128, generator=generator())).to(torch.bfloat16)
        weight = torch.nn.Parameter(start.clone().to(dtype))
        kind, settings = AlignmentTrainer.get_optimizer_cls_and_kwargs(args)
        optimizer = kind([weight], **settings)
        source = generator()
        for _ in range(20):
            weight.grad = (0.5 + torch.rand(128, 128, generator=source)).to(dtype)
            optimizer.step()
        means.append(float((weight.detach().float() - start.float()).mean()))
        types.append({value.dtype for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)})
    assert means[0] < -1e-3
    assert means[1] == pytest.approx(means[0], abs=4 * 3.1e-5)
    assert types[0] == types[1] <= {torch.float32, torch.uint8}


def trainer(make_llama: Callable[..., Any], tokenizer: Any, folder: Path, dtype: torch.dtype, **settings: Any) -> AlignmentTrainer:
    set_seed(1)
    args = AlignmentConfig(output_dir=str(folder), per_device_train_batch_size=4, **{**SETTINGS, **settings})
    return AlignmentTrainer(make_llama().to(dtype), args, GROUPS, tokenizer)


@pytest.mark.parametrize("optim", ["adamw_torch", "adafactor", "adamw_8bit"])
def test_resumes_exactly(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path, optim: str) -> None:
    """The optimizer's state comes back in float32, and the random numbers are those of the step."""
    if "8bit" in optim:
        pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: pip install 'aftune[qlora]'")
    settings = {
        "weights": "bfloat16",
        "optim": optim,
        "save_strategy": "steps",
        "save_steps": 2,
        "num_train_epochs": 1,
        "bf16": True,
    }
    whole = trainer(make_llama, tokenizer, tmp_path, torch.bfloat16, **settings)
    whole.train()
    again = trainer(make_llama, tokenizer, tmp_path, torch.bfloat16, **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    pairs = list(zip(whole.model.parameters(), again.model.parameters(), strict=True))
    assert {weight.dtype for weight, _ in pairs} == {torch.bfloat16}
    assert all(torch.equal(weight, same) for weight, same in pairs)


def test_what_it_needs(make_llama: Callable[..., Any], tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"loaded with dtype=torch.bfloat16, and this one is float32"):
        trainer(make_llama, tokenizer, tmp_path, torch.float32, weights="bfloat16")
    model = make_llama().to(torch.bfloat16)
    optimizer = torch.optim.SGD(model.parameters())
    args = AlignmentConfig(output_dir=str(tmp_path), use_cpu=True, weights="bfloat16")
    with pytest.raises(UsageError, match=r"needs an optimizer that rounds at random; name one in `optim`"):
        AlignmentTrainer(model, args, GROUPS, tokenizer, optimizers=(optimizer, None))
    for name in ("schedule_free_adamw", "stable_adamw", "adamw_torch_8bit"):
        with pytest.raises(UsageError, match=rf"sft\.optimizer is '{name}': it cannot round the updates of bfloat16 weights"):
            check_optimizer("sft.optimizer", name, "cpu", "bfloat16")
