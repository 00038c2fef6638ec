"""Runs a recipe for several seeds and prints each model's accuracy: by seed, mean and standard deviation.

    python benchmarks/seeds.py recipes/quickstart.yaml --seeds 0 1 2 [section.key=value ...]

Finished runs are only read. Differences are paired: the same held-out problems within a seed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from aftune.recipe import load_recipe
from aftune.recipe.names import model_names


def run(recipe: Path, seed: int, run_dir: Path, overrides: list[str]) -> dict[str, Any]:
    arguments = [str(recipe), f"seed={seed}", f"run_dir={run_dir}", *overrides]
    subprocess.run([sys.executable, "-m", "aftune", "run", *arguments], check=True)
    metrics: dict[str, Any] = json.loads((run_dir / "metrics.json").read_text())
    return metrics


def stage_seconds(run_dir: Path) -> float:
    """Seconds that the stages of a run took together."""
    manifest: dict[str, Any] = json.loads((run_dir / "manifest.json").read_text())
    return float(sum(entry["seconds"] for entry in manifest["stages"].values()))


def row(name: str, values: list[float]) -> str:
    spread = f"{stdev(values):.1f}" if len(values) > 1 else "-"
    return f"| {name} | " + " | ".join(f"{value:.1f}" for value in values) + f" | {mean(values):.1f} | {spread} |"


def table(title: str, rows: dict[str, list[float]], seeds: list[int]) -> None:
    print(f"\n| {title} | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean | sd |")
    print("|---|" + "---|" * (len(seeds) + 2))
    for name, values in rows.items():
        print(row(name, values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=Path("runs"))
    args = parser.parse_intermixed_args()
    folders = [args.folder / f"{args.recipe.stem}-seed{seed}" for seed in args.seeds]
    runs = [run(args.recipe, seed, folder, args.overrides) for seed, folder in zip(args.seeds, folders, strict=True)]
    made = load_recipe(args.recipe, args.overrides)
    names = {name.key: name.label for name in model_names(runs[0]["results"], made)}
    for title, key in (("accuracy, %", "accuracy"), ("assessment accuracy, %", "assessment_accuracy")):
        rows = {names[name]: [100 * metrics["results"][name][key] for metrics in runs] for name in names}
        table(title, rows, args.seeds)
    differences = {
        f"{names['aligned']} - {names[name]}": [
            100 * metrics["comparisons"][f"aligned_vs_{name}"]["difference"] for metrics in runs
        ]
        for name in names
        if name != "aligned"
    }
    table("difference in accuracy, points", differences, args.seeds)
    print()
    for other in names:
        if other != "aligned":
            pairs = [metrics["comparisons"][f"aligned_vs_{other}"] for metrics in runs]
            intervals = ", ".join(" to ".join(f"{100 * bound:+.1f}" for bound in pair["ci95"]) for pair in pairs)
            print(f"{names['aligned']} - {names[other]}: 95 % intervals {intervals}")
    print("seconds: " + ", ".join(f"{stage_seconds(run_dir):,.0f}" for run_dir in folders))


if __name__ == "__main__":
    main()
