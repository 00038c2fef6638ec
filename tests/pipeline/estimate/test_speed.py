"""The time of a run before it runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from aftune.models.precision import ProductRates
from aftune.pipeline.estimate import speed
from aftune.pipeline.estimate.card_speed import card_speed
from aftune.pipeline.estimate.cost import Decoding, StageCost
from aftune.pipeline.estimate.machines import Card
from aftune.pipeline.estimate.speed import Speed, duration
from aftune.pipeline.estimate.weights import Weights
from aftune.recipe import Recipe


def recipe(tmp_path: Path, **sections: Any) -> Recipe:
    return Recipe.model_validate({"run_dir": str(tmp_path), **sections})


SPEED = Speed(trained=0.5, scored=1.0, optimizer_step=10.0, decoding_step=4.0, decoding_row=0.5)


def test_seconds_are_the_work_times_what_it_takes() -> None:
    """100 x 6 operations x 0.5 + 2 x 10 + 50 x 1 + (22 steps x 4 + 40 tokens x 0.5) = 478; all at their limit 12: 370 + 24 x 4 +
    48 x 0.5 = 490. Each of the two begins in half a second to two."""
    work = StageCost("x", "", trained=100, num_steps=2, scored=50, decoding=Decoding(4, 2, 10, 12))
    assert SPEED.seconds(work) == pytest.approx(478)
    taken = duration([work, work], Recipe.model_validate({"run_dir": "x"}), SPEED)
    assert taken is not None
    assert (taken.low, taken.high) == (pytest.approx(2 * 478 / 1.25 + 1), pytest.approx(2 * 490 * 1.25 + 4))


def test_more_layers_take_what_more_layers_took() -> None:
    """One layer takes 0.5, four take 1.5: each layer a third, ten layers 0.5 + 9 / 3 = 3.5."""
    four = Speed(1.5, 1.0, 10.0, 4.0, 0.5)
    assert SPEED.extended(four, 9 / 3) == Speed(3.5, 1.0, 10.0, 4.0, 0.5)


@pytest.mark.parametrize("layers", [2, 7])
def test_the_trial_is_of_the_model_s_shape(tmp_path: Path, make_llama: Callable[..., Any], layers: int, monkeypatch: Any) -> None:
    """Large models are tried with one layer and with four; every kind of work takes time, and the random numbers stay."""
    monkeypatch.setattr(speed, "_SMALL", 0)
    tried = []
    trial = speed._Trial
    monkeypatch.setattr(speed, "_Trial", lambda recipe, config: tried.append(config.num_hidden_layers) or trial(recipe, config))
    monkeypatch.setattr(speed, "_TRIAL_SECONDS", 0.01)
    monkeypatch.setattr(speed, "load_config", lambda *args, **kwargs: make_llama(num_hidden_layers=layers).config)
    before = torch.get_rng_state()
    make_llama(num_hidden_layers=layers)
    torch.set_rng_state(before)
    measured = speed.measured_speed(recipe(tmp_path, model={"precision": "float32"}))
    assert measured is not None
    assert tried == [1, min(4, layers)]
    assert min(measured.trained, measured.scored, measured.optimizer_step) > 0
    assert 6 * measured.trained > measured.scored


def test_unknown_models_have_a_range_from_a_matrix_product(tmp_path: Path) -> None:
    """1 million tokens x 1e9 operations, at a tenth to a half of 1e12 a second: 2,000 to 10,000 s."""
    of = recipe(tmp_path, model={"name": "nobody/nothing-500M", "precision": "float32", "device": "cpu"})
    assert speed.measured_speed(of) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "product_rates", lambda device: ProductRates(1.0, 0.01))
        taken = duration([StageCost("x", "", scored=1e6)], of, None)
    assert taken is not None
    assert (taken.low, taken.high) == (pytest.approx(2000), pytest.approx(10000))
    assert "not here" in taken.why
    assert duration([], recipe(tmp_path, model={"name": "nobody/nothing", "precision": "float32"}), None) is None


def test_a_trial_of_an_adapter_trains_its_weights_alone(tmp_path: Path, make_llama: Callable[..., Any], monkeypatch: Any) -> None:
    """LoRA of rank 2 on queries and values, 2 layers: (32 + 32) x 2 and (32 + 16) x 2 each, 448 weights; bfloat16 below."""
    pytest.importorskip("peft")
    monkeypatch.setattr(speed, "_TRIAL_SECONDS", 0.01)
    of = recipe(tmp_path, model={"precision": "bfloat16", "device": "cpu"}, adapter={"kind": "lora", "rank": 2})
    trial = speed._Trial(of, make_llama().config)
    assert sum(weight.numel() for weight in trial.weights) == 2 * (2 * (32 + 32) + 2 * (32 + 16))
    assert trial.model.get_base_model().dtype == torch.bfloat16
    monkeypatch.setattr(trial, "_training", lambda: 8.0)
    assert trial.speed().trained == pytest.approx(8.0 / 4, rel=1e-6)
    assert type(trial.model).__name__ == "LlamaForCausalLM"


def test_a_card_s_speed_is_a_share_of_its_peaks(tmp_path: Path) -> None:
    """35 % of 100 x 10^12 operations a second: an operation with each of 7e9 weights takes 0.2 ms, on two cards half of that. 35 %
    of 2 x 10^12 bytes a second: 14e9 bytes of weights take 20 ms a decoding step, 4 layers less. Scores are float32, at 35 % of 20
    x 10^12: 2 ms a token. An optimizer step goes over 28 bytes of 7e9 weights: 0.28 s, and each card does all of it."""
    weights = Weights(total=7e9, products=7e9, linear=6e9, largest=1e8, layer=1e9, adapted=0, num_layers=4, cached=0)
    card = Card(gib=80, bfloat16=100, float32=20, bandwidth=2000)
    found = card_speed(recipe(tmp_path, model={"precision": "bfloat16"}), weights, card, 2)
    assert found.trained == pytest.approx(0.2e-3 / 2)
    assert found.scored == pytest.approx(2e-3 / 2)
    assert found.optimizer_step == pytest.approx(0.28)
    assert found.decoding_step == pytest.approx(20e-3 / 2)
    assert found.decoding_row == pytest.approx(2 * 0.2e-3 / 2)
