"""The paper's claims checked on a finished comparison, each with its figures: holds here, does not hold here, or undecided.

    aftune compare recipes/compare.yaml
    python benchmarks/claims.py recipes/compare.yaml

Accuracies are compared problem by problem, pooled over seeds (95 % interval by bootstrap). Assessment accuracy, perplexity and
votes are compared seed by seed (Student's t over the seeds' differences, wide for three). A claim of a difference holds where
the whole interval lies on its side, does not hold where it lies on the other, and is otherwise undecided. Equality can only be
shown within a margin, here two points: "at least equal" holds where the whole interval lies above -2 points and does not where
it lies below 0; "about equal" holds where the whole interval lies within 2 points of 0 and does not where it leaves 0 out.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aftune.evaluation.statistics import pooled_paired_difference, seed_summary
from aftune.pipeline.compare.results import gather
from aftune.pipeline.compare.runs import comparison
from aftune.recipe import load_recipe
from aftune.records import JudgedResponse
from aftune.records.large_files import RecordFile

_MARGIN = 0.02  # of accuracy

Difference = tuple[float, tuple[float, float]]


class Results:
    """The finished runs of a comparison."""

    def __init__(self, gathered: Mapping[str, Any]) -> None:
        self.gathered = gathered
        self.rows = {(row["method"], row["seed"]): row for row in gathered["runs"]}

    def has(self, *names: str) -> bool:
        return all((name, seed) in self.rows for name in names for seed in self.gathered["seeds"])

    def accuracy(self, ours: str, theirs: str) -> Difference:
        pairs = [(self._right(ours, seed), self._right(theirs, seed)) for seed in self.gathered["seeds"]]
        paired = pooled_paired_difference(pairs)
        return paired.difference, paired.interval

    def metric(self, name: str) -> Callable[[str, str], Difference]:
        def difference(ours: str, theirs: str) -> Difference:
            spread = seed_summary(
                [float(self.rows[ours, seed][name]) - float(self.rows[theirs, seed][name]) for seed in self.gathered["seeds"]]
            )
            return spread.mean, spread.interval or (float("-inf"), float("inf"))

        return difference

    def _right(self, name: str, seed: int) -> list[bool]:
        path = Path(self.rows[name, seed]["folder"]) / "measure" / "verdicts.jsonl"
        return [verdict.right for verdict in RecordFile(path, JudgedResponse)]


def verdict(sign: int, interval: tuple[float, float]) -> str:
    """sign: +1 claimed above, -1 claimed below, 0 claimed equal, +2 claimed not below."""
    low, high = interval
    if sign == 0:
        if low > 0 or high < 0:
            return "does not hold"
        return "holds" if low >= -_MARGIN and high <= _MARGIN else "undecided"
    if sign == 2:
        if high < 0:
            return "does not hold"
        return "holds" if low >= -_MARGIN else "undecided"
    if sign * low > 0 and sign * high > 0:
        return "holds"
    return "does not hold" if sign * low < 0 and sign * high < 0 else "undecided"


def claims(results: Results) -> list[tuple[str, str, int, Callable[[str, str], Difference], str, str, float]]:
    """Claim, what is compared, the sign, how, the two methods, and the factor of the printed figures."""
    accuracy, assessment = results.accuracy, results.metric("assessment_accuracy")
    perplexity, vote = results.metric("reference_perplexity"), results.metric("vote_accuracy")
    rows: list[tuple[str, str, int, Callable[[str, str], Difference], str, str, float]] = []
    for suffix, words in (("", "binary"), (":feedback=ranking", "ranking")):
        for name in ("aft-dc", "aft-bc"):
            rows.append((f"AFT is above VFT ({words})", "accuracy", 1, accuracy, name + suffix, "vft-steps", 100))
        for name in ("aft-dc", "aft-bc"):
            rows.append((f"AFT is at least equal to RFT ({words})", "accuracy", 2, accuracy, name + suffix, "rft", 100))
        for name in ("rrhf", "pro"):
            claim = f"RRHF and PRO without constraint are below VFT ({words})"
            rows.append((claim, "accuracy", -1, accuracy, name + suffix, "vft-steps", 100))
        claim = f"without constraint: assessment accuracy up, accuracy down, perplexity up ({words})"
        rows.append((claim, "assessment accuracy", 1, assessment, "aft" + suffix, "vft-steps", 100))
        rows.append((claim, "accuracy", -1, accuracy, "aft" + suffix, "vft-steps", 100))
        rows.append((claim, "perplexity", 1, perplexity, "aft" + suffix, "vft-steps", 1))
        for name in ("aft", "rrhf", "pro", "dpo"):
            for constraint in ("dc", "bc"):
                constrained = f"{name}-{constraint}{suffix}" + (":beta=20" if (name, constraint) == ("dpo", "bc") else "")
                rows.append((f"constraints repair ({words})", "accuracy", 1, accuracy, constrained, name + suffix, 100))
        rows.append((f"DC is about equal to BC ({words})", "accuracy", 0, accuracy, "aft-dc" + suffix, "aft-bc" + suffix, 100))
        rows.append((f"gains are kept under voting ({words})", "majority vote", 1, vote, "aft-bc" + suffix, "vft-steps", 100))
    return rows


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def methods_table(gathered: Mapping[str, Any]) -> None:
    def mean(method: Mapping[str, Any], name: str, factor: float, digits: int) -> str:
        found = method["metrics"].get(name)
        if found is None:
            return "-"
        spread = "" if found["sd"] is None else f" ± {factor * found['sd']:.{digits}f}"
        return f"{factor * found['mean']:.{digits}f}{spread}"

    def difference(method: Mapping[str, Any], baseline: str) -> str:
        found = method["differences"].get(baseline)
        if found is None:
            return ""
        low, high = (100 * bound for bound in found["ci95"])
        bold = "**" if found["p_value_holm"] <= 0.05 and (low > 0 or high < 0) else ""
        return f"{bold}{100 * found['difference']:+.1f}{bold} [{low:+.1f}, {high:+.1f}]"

    header = ["method", "accuracy, %", "minus VFT, same steps", "assessment accuracy, %", "majority vote, %"]
    table(
        [*header, "perplexity", "repetition, %", "score right", "score wrong"],
        [
            [
                method["title"],
                mean(method, "accuracy", 100, 1),
                difference(method, "vft-steps"),
                mean(method, "assessment_accuracy", 100, 1),
                mean(method, "vote_accuracy", 100, 1),
                mean(method, "reference_perplexity", 1, 3),
                mean(method, "repetition", 100, 2),
                mean(method, "score_right", 1, 3),
                mean(method, "score_wrong", 1, 3),
            ]
            for method in gathered["methods"]
            if method["num_seeds"]
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="SECTION.KEY=VALUE")
    args = parser.parse_args()
    gathered = gather(comparison(load_recipe(args.recipe, args.overrides)))
    results = Results(gathered)
    methods_table(gathered)
    rows = []
    for claim, what, sign, difference, ours, theirs, factor in claims(results):
        if not results.has(ours, theirs):
            continue
        value, (low, high) = difference(ours, theirs)
        figures = f"{factor * value:+.{1 if factor > 1 else 3}f} [{factor * low:+.{1 if factor > 1 else 3}f}, "
        figures += f"{factor * high:+.{1 if factor > 1 else 3}f}]"
        rows.append([claim, f"{what}: {ours} - {theirs}", figures, verdict(sign, (low, high))])
    table(["claim", "measured", "difference [95 %]", "here"], rows)
    if gathered["correlation"]:
        found = gathered["correlation"]
        low, high = found["ci95"]
        print(f"accuracy and assessment accuracy over {found['num_methods']} methods: r = {found['r']:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
