"""Made-up results of a comparison, of the form that `aftune compare` writes; the numbers are of no model."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from aftune.evaluation.statistics import holm, pearson, seed_summary
from aftune.pipeline.compare import methods as known

Logs = dict[tuple[str, int], list[dict[str, float]]]

LOSSES = ("aft", "rrhf", "pro", "dpo")
ALL_METHODS = [
    *("vft", "vft-steps", "vft-compute", "rft"),
    *(f"{loss}{suffix}{feedback}" for feedback in ("", ":feedback=ranking") for loss in LOSSES for suffix in ("", "-dc", "-bc")),
]
SWEEPS = [
    *(f"aft-bc:beta={value}" for value in ("0.1", "0.3", "0.5", "1", "2", "auto")),
    *(f"aft-bc:k={value}" for value in (2, 4)),
    *("aft-bc:beta=0.3:k=4", "dpo-bc:beta=5", "dpo-bc:beta=20"),
]
_BASELINES = ("vft", "vft-steps", "vft-compute")


def summary(values: Sequence[float], **more: Any) -> dict[str, Any]:
    spread = seed_summary(values)
    return {"mean": spread.mean, "sd": spread.std, "ci95": spread.interval, "values": list(values), **more}


def difference(value: float, low: float, high: float, p: float) -> dict[str, Any]:
    return {"difference": value, "ci95": [low, high], "p_value": p, "p_value_holm": p}


def method(
    name: str, *, metrics: Mapping[str, Sequence[float]], differences: Mapping[str, Any] | None = None, num_seeds: int | None = None
) -> dict[str, Any]:
    """A method of the name with metrics by seed; accuracy has an interval over problems of 4 points to each side."""
    parsed = known.parse(name)
    settings = {**parsed.settings, **parsed.varied}
    summaries = {key: summary(values) for key, values in metrics.items() if values}
    if "accuracy" in summaries:
        mean = summaries["accuracy"]["mean"]
        summaries["accuracy"]["ci95_problems"] = [mean - 0.04, mean + 0.04]
    return {
        "name": name,
        "title": parsed.title,
        "settings": settings,
        "varied": dict(parsed.varied),
        "loss": settings.get("align.loss"),
        "constraint": settings.get("align.constraint"),
        "num_seeds": len(metrics.get("accuracy", ())) if num_seeds is None else num_seeds,
        "metrics": summaries,
        "differences": dict(differences or {}),
    }


def results(methods: Sequence[dict[str, Any]], *, seeds: Sequence[int] = (0,), **changes: Any) -> dict[str, Any]:
    """A comparison of the methods; the n-th value of a metric is of the n-th seed."""
    runs = [
        {
            "method": item["name"],
            "seed": seed,
            "num_problems": 500,
            **{name: found["values"][place] for name, found in item["metrics"].items() if place < len(found["values"])},
        }
        for item in methods
        for place, seed in enumerate(seeds[: item["num_seeds"]])
    ]
    points = [
        (item["metrics"]["accuracy"]["mean"], item["metrics"]["assessment_accuracy"]["mean"])
        for item in methods
        if "assessment_accuracy" in item["metrics"]
    ]
    found = pearson([x for x, _ in points], [y for _, y in points])
    correlation = found and {"r": found.r, "ci95": found.interval, "p_value": found.p_value, "num_methods": len(points)}
    made = {"task": "arithmetic", "model": "bundled", "seeds": list(seeds), "methods": list(methods), "correlation": correlation}
    return {**made, "runs": runs, **changes}


def full(names: Sequence[str], seeds: Sequence[int] = (0, 1, 2), *, everything: bool = True) -> tuple[dict[str, Any], Logs]:
    """Random results of many methods with logs of those that align; `everything`: with votes and perplexity."""
    rng = random.Random(7)
    methods, logs = [], {}
    for name in names:
        made = known.parse(name)
        aligned = "align.loss" in made.settings
        strength = rng.uniform(-0.2, 1.0) if aligned else 0.1
        accuracy = [0.47 + 0.06 * strength + rng.gauss(0, 0.008) for _ in seeds]
        metrics: dict[str, list[float]] = {
            "accuracy": accuracy,
            "assessment_accuracy": [0.76 + 0.09 * strength + rng.gauss(0, 0.012) for _ in seeds],
            "score_right": [-0.135 - 0.02 * strength for _ in seeds],
            "score_wrong": [-0.22 - 0.2 * strength for _ in seeds],
            "repetition": [0.021 + rng.uniform(0, 0.004) for _ in seeds],
            "mean_words": [31 + rng.uniform(0, 4) for _ in seeds],
        }
        if name != "vft":
            metrics |= {"optimizer_steps": [1140.0] * len(seeds), "seconds": [277.4 + rng.uniform(0, 500) for _ in seeds]}
        if made.settings.get("align.constraint") == "boundary":
            asked = made.varied.get("align.beta", 0.7)
            metrics["beta"] = [0.18 + 0.01 * place if asked == "auto" else float(asked) for place in range(len(seeds))]
        if made.trains is known.ALIGN:
            metrics["k"] = [made.varied.get("align.num_candidates", 6)] * len(seeds)
        if everything:
            metrics["reference_perplexity"] = [1.163 + 0.02 * strength for _ in seeds]
            for place, vote in enumerate(("vote_accuracy", "weighted_vote_accuracy", "best_of_k_accuracy")):
                metrics[vote] = [value + 0.04 + 0.01 * place for value in accuracy]
            metrics |= {f"pass_at_{k}": [value + 0.05 * place for value in accuracy] for place, k in enumerate((1, 2, 4, 8, 16))}
        methods.append(method(name, metrics=metrics))
        for seed in seeds if aligned else ():
            logs[name, seed] = [
                {
                    "score_better": -0.15 + 0.01 * strength * step / 1140 + rng.gauss(0, 0.002),
                    "score_worse": -0.18 - 0.3 * strength * step / 1140 + rng.gauss(0, 0.004),
                    "step": float(step),
                }
                for step in range(30, 1141, 30)
            ] + [{"train_loss": 1.0, "step": 1140.0}]
    by_name = {item["name"]: item for item in methods}
    for baseline in _BASELINES:
        others = [item for item in methods if baseline in by_name and item["name"] != baseline]
        for item in others:
            value = item["metrics"]["accuracy"]["mean"] - by_name[baseline]["metrics"]["accuracy"]["mean"]
            p = min(1.0, 0.2 ** (abs(value) / 0.008))
            item["differences"][baseline] = difference(value, value - 0.02, value + 0.02, p)
        for item, adjusted in zip(others, holm([item["differences"][baseline]["p_value"] for item in others]), strict=True):
            item["differences"][baseline]["p_value_holm"] = adjusted
    made = results(methods, seeds=seeds)
    for run in made["runs"]:
        run |= {"num_votes": 16 if everything else 0, "num_assessed_problems": 240 + run["seed"]}
    return made, logs
