"""Our losses against TRL's, where an identity is known: values, and gradients by the log-probability of each token.

TRL's trainers get a model that gives chosen log-probabilities, so that both sides compute in float64.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from aftune.losses import ApoZeroLoss, DpoLoss, IpoLoss, Loss, LossInputs, NcaLoss, SimpoLoss, SppoLoss
from aftune.models.loading import load_model, load_tokenizer
from aftune.recipe import ModelSection

trl = pytest.importorskip("trl", reason="TRL is not installed: pip install 'aftune[trl]'")
datasets = pytest.importorskip("datasets")

LENGTHS = torch.tensor([[5, 3], [2, 7], [4, 4]])  # tokens of the better and the worse response of each pair
PROMPT = 2
SAME = [
    ("sigmoid", 0.1, DpoLoss("none", dpo_beta=0.1)),
    ("ipo", 0.7, IpoLoss("none", ipo_beta=0.7)),
    ("sppo_hard", 0.5, SppoLoss("none", dpo_beta=0.5)),
    ("nca_pair", 0.3, NcaLoss("none", dpo_beta=0.3)),
    ("apo_zero", 0.2, ApoZeroLoss("none", dpo_beta=0.2)),
]


def trainer(kind: Any, config: Any, tmp_path: Path, **settings: Any) -> Any:
    """One of TRL's, of the bundled model, which these tests do not use."""
    args = config(output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False, **settings)
    dataset = datasets.Dataset.from_list([{"prompt": "3 + 4?", "chosen": " 7", "rejected": " 8"}])
    model = load_model("bundled", ModelSection())
    return kind(model=model, args=args, train_dataset=dataset, processing_class=load_tokenizer("bundled"))


def tokens(seed: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities, [2 P, T] (better responses, then worse ones), and which tokens are a response's."""
    lengths = LENGTHS.T.flatten()[:, None]
    mask = torch.arange(int(LENGTHS.max())) < lengths
    return -2 * torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), mask


def inputs_of(tokens_B_T: Tensor, reference_B_T: Tensor | None) -> LossInputs:
    sums, reference = (None if values is None else values.sum(1).view(2, -1).T for values in (tokens_B_T, reference_B_T))
    qualities = torch.tensor([[1.0, 0.0]]).expand(LENGTHS.shape)
    everyone = torch.ones_like(qualities, dtype=torch.bool)
    return LossInputs(sums / LENGTHS, sums, qualities, everyone, reference, response_lengths=LENGTHS)


def loss_of_dpo_trainer(other: Any, tokens_B_T: Tensor, mask: Tensor, reference_B_T: Tensor) -> Tensor:
    """What TRL's trainer makes of a model that gives these log-probabilities."""
    other.precompute_ref_logps = True
    reference = reference_B_T.sum(1)
    whole = torch.nn.functional.pad(mask.long(), (PROMPT, 0))  # a first token has no log-probability
    inputs = {
        "input_ids": torch.ones_like(whole),
        "attention_mask": whole,
        "completion_mask": whole,
        "ref_chosen_logps": reference[: len(LENGTHS)],
        "ref_rejected_logps": reference[len(LENGTHS) :],
    }
    logprobs = torch.nn.functional.pad(tokens_B_T, (PROMPT - 1, 0))
    nothing = torch.zeros_like(logprobs)
    outputs = SimpleNamespace(log_probs=logprobs, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())
    return other.compute_loss(lambda **_: outputs, inputs)


def assert_same(leaf: Tensor, theirs: Tensor, ours: Tensor) -> None:
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-9)
    expected, found = (torch.autograd.grad(loss, leaf, retain_graph=True)[0] for loss in (theirs, ours))
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "beta", "loss"), SAME, ids=[name for name, _, _ in SAME])
def test_losses_of_pairs(tmp_path: Path, name: str, beta: float, loss: Loss) -> None:
    """A group with one better and one worse response."""
    other = trainer(trl.DPOTrainer, trl.DPOConfig, tmp_path, loss_type=name, beta=beta)
    (leaf, mask), reference = tokens(0), tokens(1)[0] * tokens(1)[1]
    used = leaf.requires_grad_() * mask
    assert_same(leaf, loss_of_dpo_trainer(other, used, mask, reference), loss(inputs_of(used, reference)).loss)


def test_dpo_beside_the_likelihood_of_the_better_samples(tmp_path: Path) -> None:
    """Iterative RPO, its likelihood as `sft_on="positives"` has it: the mean over the tokens of all of them."""
    other = trainer(trl.DPOTrainer, trl.DPOConfig, tmp_path, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 1.0], beta=0.1)
    (leaf, mask), reference = tokens(0), tokens(1)[0] * tokens(1)[1]
    used = leaf.requires_grad_() * mask
    inputs = inputs_of(used, reference)
    ours = DpoLoss("none")(inputs).loss - inputs.logprob_sums[:, 0].sum() / LENGTHS[:, 0].sum()
    assert_same(leaf, loss_of_dpo_trainer(other, used, mask, reference), ours)


@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 0.6), (1.0, 0.0)])
def test_simpo(tmp_path: Path, beta: float, gamma: float) -> None:
    """TRL's trainer for it takes the mean log-probabilities of the two responses."""
    cpo = pytest.importorskip("trl.experimental.cpo")
    settings = {"loss_type": "simpo", "beta": beta, "simpo_gamma": gamma, "cpo_alpha": 0.0}
    other = trainer(cpo.CPOTrainer, cpo.CPOConfig, tmp_path, **settings)
    leaf, mask = tokens(0)
    inputs = inputs_of(leaf.requires_grad_() * mask, None)
    theirs = other.cpo_loss(inputs.scores[:, 0], inputs.scores[:, 1])[0].mean()
    assert_same(leaf, theirs, SimpoLoss("none", simpo_beta=beta, simpo_gamma=gamma)(inputs).loss)
