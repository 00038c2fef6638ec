"""How hard losses push a worse response, over its score: the gradient of the loss of one pair, as a picture for docs/method.md.

    python benchmarks/pushes.py [docs/figures/pushes.svg]

Above 0 the response is pushed down, below 0 it is pulled up. Losses on scores: the better response has -0.5 nats per token. Losses
with a reference policy: h of the better response is 0. Only the shape and the sign can be compared: each curve is divided by its
largest absolute value in the picture. Not drawn: PRO-BC, which is AFT-BC for one pair, InfoNCA, which is
DPO for one pair, and DPOP and NCA, which are close to it.
"""

import sys
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aftune import losses
from aftune.recipe.losses import LOSSES

SCORES = [("aft", "none"), ("aft", "boundary"), ("rrhf", "none"), ("rrhf", "boundary"), ("simpo", "none"), ("simpo", "boundary")]
RATIOS = [(name, "none") for name in ("dpo", "minor_dpo", "bdpo", "ipo", "sppo", "apo_zero")] + [("dpo", "boundary")]
SUFFIXES = {"none": "", "boundary": "-BC"}
COLOURS = ["#0b8468", "#2a6fb8", "#b3402f", "#6559c9", "#8f6a00", "#b5368c", "#00757f", "#4d7410", "#1f2328"]
NUM_TOKENS = 40


def pushes(name: str, constraint: str, worse: torch.Tensor) -> torch.Tensor:
    """dL/dv of the worse response at each of the values, [N]: scores, or log-ratios h of a response of 40 tokens."""
    facts = LOSSES[name]
    beta = {"beta": 20.0} if facts.needs_reference else {"beta": 0.7}
    loss = losses.build(name, constraint=constraint, **beta)
    leaf = worse.clone().requires_grad_()
    better = torch.full_like(worse, 0.0 if facts.needs_reference else -0.5)
    values = torch.stack([better, leaf], dim=1)
    scores, sums = (values / NUM_TOKENS, values) if facts.needs_reference else (values, values * NUM_TOKENS)
    qualities = torch.tensor([1.0, 0.0]).expand(values.shape)
    mask, lengths = torch.ones_like(qualities, dtype=torch.bool), torch.full_like(values, NUM_TOKENS)
    inputs = losses.LossInputs(scores, sums, qualities, mask, torch.zeros_like(values), response_lengths=lengths)
    (gradient,) = torch.autograd.grad(loss(inputs).losses_P.sum(), leaf)
    return gradient


def paint(axes: Axes, chosen: list[tuple[str, str]], worse: torch.Tensor) -> None:
    """A line for each loss; those with the boundary are thick."""
    names = list(dict.fromkeys(name for name, _ in chosen))
    for name, constraint in chosen:
        found = pushes(name, constraint, worse)
        bounded = constraint == "boundary"
        axes.plot(
            worse,
            found / found.abs().max(),
            color=COLOURS[names.index(name)],
            linewidth=2.4 if bounded else 1.3,
            linestyle="-" if bounded else (0, (4, 1.6)),
            label=LOSSES[name].title + SUFFIXES[constraint],
        )
    axes.axhline(0, color="#656d76", linewidth=0.8)
    axes.set_ylim(-1.08, 1.08)
    axes.set_yticks([-1, 0, 1], ["pulled up", "0", "pushed down"])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False, fontsize=9)


def main(path: Path) -> None:
    style = {"axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "pushes", "font.size": 10}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(10, 5), layout="constrained")
        left, right = figure.subplots(1, 2)
        paint(left, SCORES, torch.linspace(-2.4, 0, 301, dtype=torch.float64))
        left.set_title("Losses on scores; better response at -0.5, beta 0.7", fontsize=10.5, loc="left")
        left.set_xlabel("score of the worse response, nats per token")
        paint(right, RATIOS, torch.linspace(-45, 15, 301, dtype=torch.float64))
        right.set_title("Losses with a reference; better response at 0, beta 20", fontsize=10.5, loc="left")
        right.set_xlabel("h of the worse response, nats")
        right.set_yticklabels([])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, facecolor="white")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures/pushes.svg"))
