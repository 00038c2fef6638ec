"""What a comparison's alignment losses did while training, beside what they gained: where to look for reasons.

    python benchmarks/reasons.py recipes/compare.yaml

Logs of training, means over the first and the last fifth of the steps, and over seeds. *Gradient*: |g_A| / (|g_A| + |g_VFT|),
the alignment loss's share of the gradient by log-probabilities of responses. *In order*: pairs whose better candidate has the
higher score. *Distance*: mean score of better candidates minus that of worse ones, nats per token. *Below*: worse candidates (for
losses of pairs, pairs) below the boundary, or, without one, below where it would be. Spearman's rank correlation over methods says
how far the accuracy that is gained goes with the share of the gradient.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from claims import table
from scipy.stats import spearmanr

from aftune.pipeline.compare.results import gather
from aftune.pipeline.compare.runs import comparison
from aftune.recipe import load_recipe

Log = Sequence[Mapping[str, float]]


def ends(log: Log, key: str) -> tuple[float, float]:
    """Means over the first and the last fifth of what was logged."""
    values = [entry[key] for entry in log if key in entry]
    part = max(1, len(values) // 5)
    return float(np.mean(values[:part])), float(np.mean(values[-part:]))


def distances(log: Log) -> list[dict[str, float]]:
    keys = ("score_better", "score_worse")
    return [{"distance": entry[keys[0]] - entry[keys[1]]} for entry in log if all(key in entry for key in keys)]


def row(method: Mapping[str, Any], logs: Sequence[Log], gained: float | None) -> tuple[list[str], float]:
    """A line of the table, and the gradient's share over the first steps."""

    def both(of: Sequence[Log], key: str, factor: float, digits: int) -> str:
        first, last = np.mean([ends(log, key) for log in of], axis=0)
        return f"{factor * first:.{digits}f} to {factor * last:.{digits}f}"

    share = float(np.mean([ends(log, "alignment_gradient_share")[0] for log in logs]))
    return [
        method["title"],
        "" if gained is None else f"{100 * gained:+.1f}",
        both(logs, "alignment_gradient_share", 100, 0),
        both(logs, "pairs_in_order", 100, 0),
        both([distances(log) for log in logs], "distance", 1, 3),
        both(logs, "below_boundary", 100, 0),
    ], share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="SECTION.KEY=VALUE")
    args = parser.parse_args()
    gathered = gather(comparison(load_recipe(args.recipe, args.overrides)))
    rows, points = [], []
    for method in gathered["methods"]:
        paths = [Path(run["folder"]) / "align" / "log.json" for run in gathered["runs"] if run["method"] == method["name"]]
        logs = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
        logs = [log for log in logs if any("alignment_gradient_share" in entry for entry in log)]
        if logs:
            found = method["differences"].get("vft-steps")
            gained = None if found is None else found["difference"]
            line, share = row(method, logs, gained)
            rows.append(line)
            points += [] if gained is None else [(share, gained)]
    table(["method", "accuracy minus VFT, same steps", "gradient, %", "in order, %", "distance", "below, %"], rows)
    if len(points) > 2:
        found = spearmanr(*zip(*points, strict=True))
        rho = f"rho = {found.statistic:.2f}, p = {found.pvalue:.2g}"
        print(f"share of the gradient and accuracy gained, over {len(points)} methods: {rho}")


if __name__ == "__main__":
    main()
