"""The pictures of docs/how-it-works.md: the way of the data, and what each constraint does to a wrong candidate.

    python scripts/draw_pictures.py [docs/figures]

The second is computed with the package's own loss: one right candidate keeps its score, the scores of four wrong ones are free
numbers that follow the gradient, each in a group of its own. There is no model and no data in it.
"""

import sys
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.patches
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aftune import losses
from aftune.reporting.svg import COLOURS

RIGHT, BETA = -0.4, 0.6
STARTS = (-0.15, -0.45, -0.8, -1.6)
STEPS, RATE = 300, 0.02
TITLES = {"none": "none: falls for ever", "detached": "detached: left alone", "boundary": "boundary: settles at B"}
STAGES = [
    ("problems", "questions and\nreference solutions", ""),
    ("VFT model", "imitates\nthe references", "sft"),
    ("candidates", "k sampled answers\nto each question", "sample"),
    ("groups", "right and wrong\nby the final answer", "label"),
    ("aligned model", "right ones above,\nwrong ones in bounds", "align"),
    ("report", "both models on\nheld-out questions", "evaluate"),
]


def paths(constraint: str) -> torch.Tensor:
    """Scores of the wrong candidates over the steps, [steps + 1, candidates], in nats per token."""
    loss = losses.build("aft", constraint=constraint, beta=BETA)
    worse = torch.tensor(STARTS, dtype=torch.float64)
    seen = [worse]
    for _ in range(STEPS):
        leaf = seen[-1].clone().requires_grad_()
        scores = torch.stack([torch.full_like(leaf, RIGHT), leaf], dim=1)
        qualities = torch.tensor([1.0, 0.0]).expand(scores.shape)
        mask = torch.ones_like(scores, dtype=torch.bool)
        inputs = losses.LossInputs(scores, scores, qualities, mask)
        (gradient,) = torch.autograd.grad(loss(inputs).losses_P.sum(), leaf)
        seen.append((leaf - RATE * gradient).detach())
    return torch.stack(seen)


def draw_paths(path: Path) -> None:
    figure = Figure(figsize=(8.4, 3.1), layout="constrained")
    for axes, (constraint, title) in zip(figure.subplots(1, 3, sharey=True), TITLES.items(), strict=True):
        axes.plot(paths(constraint), color=COLOURS["wrong"], linewidth=1.6)
        axes.axhline(RIGHT, color=COLOURS["right"], linewidth=2)
        if constraint == "boundary":
            axes.axhline(RIGHT - BETA, color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 2)))
            axes.text(STEPS, RIGHT - BETA - 0.2, "B = right - beta ", ha="right", va="top", color=COLOURS["muted"], fontsize=9)
        axes.set_title(title, loc="left", fontsize=10.5, color=COLOURS["ink"])
        axes.set_xlabel("steps", color=COLOURS["muted"])
        axes.set_xticks([])
        axes.tick_params(colors=COLOURS["muted"], length=0)
        axes.set_xlim(0, STEPS)
        if constraint == "none":
            axes.set_ylabel("score, nats per token", color=COLOURS["muted"])
            axes.text(STEPS, RIGHT, "the right one ", ha="right", va="bottom", color=COLOURS["right"], fontsize=9)
    _save(figure, path)


def draw_way(path: Path) -> None:
    figure = Figure(figsize=(8.4, 2.9))
    axes = figure.add_axes((0.01, 0.02, 0.98, 0.96))
    axes.set_axis_off()
    axes.set_xlim(0.15, 2.85)
    axes.set_ylim(0.12, 1.88)
    for place, (name, meaning, _) in enumerate(STAGES):
        row, column = divmod(place, 3)
        _box(axes, column + 0.5, 1.5 - row, name, meaning, accent=name == "aligned model")
    for place, (_, _, stage) in enumerate(STAGES[1:], 1):
        row, column = divmod(place, 3)
        start, end = (column - 0.16, 1.5 - row), (column + 0.16, 1.5 - row)
        if not column:  # from the end of the first row to the beginning of the second
            axes.plot([2.5, 2.5, 0.5], [1.14, 1.0, 1.0], color=COLOURS["muted"], linewidth=1.2)
            start, end = (0.5, 1.0), (0.5, 0.86)
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": COLOURS["muted"], "shrinkA": 0, "shrinkB": 0})
        x, y = (column, 1.56 - row) if column else (1.5, 1.03)
        axes.text(x, y, stage, ha="center", va="bottom", color=COLOURS["aligned"], fontsize=10, family="monospace")
    _save(figure, path)


def _box(axes: Axes, x: float, y: float, name: str, meaning: str, *, accent: bool) -> None:
    edge = COLOURS["aligned" if accent else "rule"]
    shape = matplotlib.patches.BoxStyle.Round(pad=0, rounding_size=0.05)
    box = matplotlib.patches.FancyBboxPatch((x - 0.33, y - 0.35), 0.66, 0.7, boxstyle=shape)
    box.set(facecolor="#f6f7f9", edgecolor=edge, linewidth=1.6 if accent else 1)
    axes.add_patch(box)
    axes.text(x, y + 0.17, name, ha="center", va="center", color=COLOURS["ink"], fontsize=11.5, weight="bold")
    axes.text(x, y - 0.1, meaning, ha="center", va="center", color=COLOURS["muted"], fontsize=9.5, linespacing=1.35)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def main(folder: Path) -> None:
    style: dict[Any, Any] = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": COLOURS["rule"],
        "svg.hashsalt": "aftune",
        "font.size": 10,
    }
    with matplotlib.rc_context(style):
        draw_way(folder / "way.svg")
        draw_paths(folder / "constraints.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/figures"))
