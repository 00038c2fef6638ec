"""What is refused: inputs that do not fit together, and names and options that do not exist."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from aftune import losses
from aftune.common.errors import UsageError
from aftune.losses import AftLoss, DpoLoss, LossInputs, ProLoss, RrhfLoss
from loss_judge import inputs_of

INPUTS = inputs_of([[-0.3, -0.5, -0.4], [-0.2, -0.7, -0.1]], [[1, 0, 0], [0, 1, 2]], padded_lengths=[9, 12])


@pytest.mark.parametrize("quality", [math.nan, math.inf])
def test_quality_that_is_not_finite_is_an_error(quality: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        inputs_of([[-0.3, -0.5]], [[1, quality]])


@pytest.mark.parametrize("name", ["scores", "logprob_sums", "qualities", "reference_logprob_sums"])
@pytest.mark.parametrize("shape", [(2, 4), (3, 3), (6,), (1, 3), (2, 3, 1)])
def test_shapes_that_do_not_agree_are_an_error(name: str, shape: tuple[int, ...]) -> None:
    """Shapes that would broadcast, too."""
    with pytest.raises(ValueError, match=rf"{name} is \[.*\] float32, expected the shape of mask, \[2, 3\]"):
        replace(INPUTS, **{name: torch.zeros(shape)})


@pytest.mark.parametrize(
    "mask",
    [torch.ones(2, 3), torch.ones(2, 3, dtype=torch.long), torch.ones(3, dtype=torch.bool), torch.ones(2, 0, dtype=torch.bool)],
)
def test_mask_of_another_kind_is_an_error(mask: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"mask is \[[\d, ]+\] (float32|int64|bool), expected \[problems, candidates\] bool"):
        LossInputs(INPUTS.scores, INPUTS.logprob_sums, INPUTS.qualities, mask)


def test_wrong_padded_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"padded_lengths is \[2, 3\] float32, expected one number per group, \[2\]"):
        replace(INPUTS, padded_lengths=torch.ones(2, 3))
    with pytest.raises(ValueError, match="padded_lengths holds a value below 1"):
        replace(INPUTS, padded_lengths=torch.tensor([3, 0]))


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"no loss 'afd'; did you mean 'aft'\? choose from aft, rrhf, pro, dpo"):
        losses.build("afd")
    with pytest.raises(UsageError, match=r"no loss 'DPO'; did you mean 'dpo'\?"):
        losses.build("DPO")
    with pytest.raises(UsageError, match=r"no loss 'xyz'; choose from"):
        losses.build("xyz")
    with pytest.raises(UsageError, match=r"loss aft has no option 'gamma'; its options are constraint, beta, detach_boundary$"):
        losses.build("aft", gamma=0.1)
    with pytest.raises(UsageError, match=r"loss rrhf has no option 'length_normalization'; did you mean 'length_normalisation'\?"):
        losses.build("rrhf", length_normalization="padded")
    with pytest.raises(UsageError, match=r"loss aft has no option 'dpo_beta'"):
        losses.build("aft", dpo_beta=0.1)


@pytest.mark.parametrize("name", ["aft", "rrhf", "pro", "dpo"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraint": "bound"}, "constraint is 'bound', expected none, detached or boundary"),
        ({"beta": 0.0}, r"beta is 0\.0, expected a positive number of nats"),
        ({"beta": math.nan}, "beta is nan, expected a positive number"),
        ({"beta": math.inf}, "beta is inf, expected a positive number"),
        ({"beta": "0.1"}, r"beta is '0\.1', expected a positive number"),
        ({"beta": True}, "beta is True, expected a positive number"),
        ({"detach_boundary": "no"}, "detach_boundary is 'no', expected true or false"),
    ],
)
def test_wrong_values_are_usage_errors(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"loss {name}: {message}"):
        losses.build(name, **options)


def test_wrong_dpo_beta_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="loss dpo: dpo_beta is -1, expected a positive number"):
        losses.build("dpo", dpo_beta=-1)


def test_build_sets_the_options() -> None:
    assert losses.build("aft", constraint="detached", beta=0.3, detach_boundary=False) == AftLoss("detached", 0.3, False)
    assert losses.build("rrhf", length_normalisation="padded") == RrhfLoss(length_normalisation="padded")
    assert losses.build("pro", beta=1, eps=1e-10) == ProLoss(beta=1, eps=1e-10)
    assert losses.build("dpo", constraint="none", dpo_beta=0.5) == DpoLoss("none", dpo_beta=0.5)
    assert losses.option_names("dpo") == ["constraint", "beta", "detach_boundary", "dpo_beta"]
