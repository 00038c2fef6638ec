"""Losses since 2023 by hand. Responses have 8 tokens, so that h of a response is 8 times its score, minus the reference's sum."""

import math
from typing import Any

import pytest
import torch

from aftune.losses import AftLoss, ApoZeroLoss, BdpoLoss, DpopLoss, InfoNcaLoss, IpoLoss, MinorDpoLoss, NcaLoss, SimpoLoss, SppoLoss
from loss_judge import DOUBLE, LENGTH, gradient, inputs_of

SCORES = torch.tensor([[-0.3, -0.4]], dtype=DOUBLE)  # sums -2.4 and -3.2
REFERENCE = torch.tensor([[-2.0, -4.2]], dtype=DOUBLE)  # h = -0.4 of the better response, 1 of the worse one
PAIR = [[1, 0]]


def value(loss: Any, scores: torch.Tensor = SCORES, qualities: Any = PAIR, reference: torch.Tensor = REFERENCE) -> float:
    return loss(inputs_of(scores, qualities, reference=reference)).losses_P.item()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        # 2 (-0.4 + 0.3) + 1 = 0.8: ln(1 + e^0.8) = 1.171101
        (SimpoLoss("none", simpo_beta=2.0, simpo_gamma=1.0), 1.171101),
        # beta 0.2: B = -0.5, 2 (-1 + 0.4 + 0.3) + 1 = 0.4: ln(1 + e^0.8 + e^0.4) = ln 4.717366
        (SimpoLoss("boundary", 0.2), 1.551251),
        # h_w / 8 - h_l / 8 = -0.175, minus 1/2: 0.675^2
        (IpoLoss("none", ipo_beta=1.0), 0.455625),
        # 0.5 (1 + 0.4 + 50 * 0.4) = 10.7: ln(1 + e^10.7)
        (DpopLoss("none", dpo_beta=0.5), 10.700023),
        # 0.5 (1 + 0.4) = 0.7: ln(1 + e^0.7)
        (MinorDpoLoss("none", dpo_beta=0.5), 1.103186),
        # ln((e + 1) / 2) = 0.620115: 0.5 (0.620115 + 0.4) = 0.510057: ln(1 + e^0.510057)
        (BdpoLoss("none", dpo_beta=0.5), 0.980349),
        # (-0.4 - 1)^2 + (1 + 1)^2
        (SppoLoss("none", dpo_beta=0.5), 5.96),
        # ln(1 + e^0.2) + (ln(1 + e^-0.2) + ln(1 + e^0.5)) / 2
        (NcaLoss("none", dpo_beta=0.5), 0.798139 + (0.598139 + 0.974077) / 2),
        # ln(e^-0.2 + e^0.5) + 0.2 = ln(1 + e^0.7)
        (InfoNcaLoss("none", dpo_beta=0.5), 1.103186),
        # 1 / (1 + e^-0.2) + 1 / (1 + e^-0.5)
        (ApoZeroLoss("none", dpo_beta=0.5), 0.549834 + 0.622459),
    ],
    ids=str,
)
def test_hand_worked_examples(loss: Any, expected: float) -> None:
    assert value(loss) == pytest.approx(expected, abs=2e-6)


def test_simpo_without_margin_is_aft_of_one_pair() -> None:
    for constraint in ("none", "detached", "boundary"):
        ours = SimpoLoss(constraint, 0.15, simpo_beta=1.0, simpo_gamma=0.0)
        assert value(ours) == pytest.approx(value(AftLoss(constraint, 0.15)), rel=1e-14)


@pytest.mark.parametrize(
    ("loss", "pushes"),
    [
        # With h_w = 0 and b = 0.1, dL/dh_l at h_l = 0, -5, -20, -40.
        (MinorDpoLoss("none"), (None, 0, 0, 0)),
        (BdpoLoss("none"), (0.025, 0.0003, 0, 0)),
        (SppoLoss("none"), (10, 0, -30, -70)),
        (ApoZeroLoss("none"), (0.025, 0.0235, 0.0105, 0.0018)),
        (NcaLoss("none"), (0.025, 0.0189, 0.006, 0.0009)),
        (NcaLoss("boundary", 20.0), (0.0241, 0.0174, 0, -0.0241)),
    ],
    ids=str,
)
def test_push_on_the_worse_response(loss: Any, pushes: tuple[float | None, ...]) -> None:
    for h, push in zip((0.0, -5.0, -20.0, -40.0), pushes, strict=True):
        if push is not None:
            found = gradient(loss, torch.tensor([[0.0, h / LENGTH]], dtype=DOUBLE), PAIR)[0, 1].item() / LENGTH
            assert found == pytest.approx(push, abs=6e-5 if abs(push) < 1 else 1e-9)


def test_shares_of_nca() -> None:
    """Ranks 3, 2, 1 with alpha 1: p = e^0, e^-1, e^-2 over their sum 1.503215; h = 0 of all: - sum p ln(1/3) = ln 3. With alpha 0
    the two best of four share it: dL/dh of each is b (1/4 - 1/2)."""
    zero = torch.zeros((1, 3), dtype=DOUBLE)
    assert value(InfoNcaLoss("none", nca_alpha=1.0), zero, [[3, 2, 1]], zero) == pytest.approx(math.log(3))
    found = gradient(InfoNcaLoss("none", nca_alpha=1.0), zero, [[3, 2, 1]], reference=zero)[0] / (0.1 * LENGTH)
    assert found.tolist() == pytest.approx([1 / 3 - p / 1.503215 for p in (1, 0.367879, 0.135335)], abs=1e-6)
    four = torch.zeros((1, 4), dtype=DOUBLE)
    pushes = gradient(InfoNcaLoss("none"), four, [[1, 0, 1, 0]], reference=four)[0] / (0.1 * LENGTH)
    assert pushes.tolist() == pytest.approx([-0.25, 0.25, -0.25, 0.25])


@pytest.mark.parametrize("kind", [IpoLoss, MinorDpoLoss, BdpoLoss, SppoLoss, ApoZeroLoss])
def test_some_losses_take_no_boundary(kind: Any) -> None:
    with pytest.raises(ValueError, match="constraint is 'boundary', expected none or detached"):
        kind("boundary")


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bdpo_lambda is 1\.0, expected a number between 0 and 1"):
        BdpoLoss("none", bdpo_lambda=1.0)
    with pytest.raises(ValueError, match=r"simpo_gamma is -1, expected 0 or a positive number"):
        SimpoLoss(simpo_gamma=-1)


def test_ipo_needs_lengths() -> None:
    inputs = inputs_of(SCORES, PAIR)
    object.__setattr__(inputs, "response_lengths", None)
    with pytest.raises(ValueError, match=r"IpoLoss needs LossInputs\.response_lengths"):
        IpoLoss("none")(inputs)
