"""The paper's claims checked on finished comparisons, each with its figures: holds here, does not hold here, or undecided.

    aftune compare compare
    python benchmarks/claims.py recipes/compare.yaml
    python benchmarks/claims.py recipes/compare.yaml recipes/compare-real.yaml

Gives a table of methods for each comparison, and one of the claims with a column for each. All differences are taken problem by
problem, pooled over seeds (95 % interval by bootstrap over problems): accuracy, assessment accuracy over the problems with pairs,
majority votes, and the references' negative log-likelihood in nats per token. How much the training seed matters is in the ± of the
methods' table.

A claim of a difference holds where the whole interval lies on its side, does not hold where it lies on the other, and is otherwise
undecided. Equality can only be shown within a margin, here two points: "at least equal" holds where the whole interval lies above
-2 points and does not where it lies below 0; "about equal" holds where the whole interval lies within 2 points of 0 and does not
where it leaves 0 out. Where both would be true, it does not hold.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aftune.evaluation.assessment import assessment_accuracy
from aftune.evaluation.statistics import mean_interval
from aftune.evaluation.voting import Sampled, majority_vote
from aftune.pipeline.compare.results import gather, same_problems
from aftune.pipeline.compare.runs import Comparison, comparison
from aftune.recipe import load_recipe
from aftune.records import Group, GroupScores, JudgedResponse, Votes
from aftune.records.large_files import RecordFile

_MARGIN = 0.02  # of accuracy

Difference = tuple[float, tuple[float, float]]


class Results:
    """The finished runs of a comparison."""

    def __init__(self, wanted: Comparison) -> None:
        self.gathered = gather(wanted)
        self.rows = {(row["method"], row["seed"]): row for row in self.gathered["runs"]}
        self.seeds = self.gathered["seeds"]
        self.same_problems = same_problems(wanted, self.seeds)
        self.values = cache(self._values)

    @property
    def name(self) -> str:
        seeds = len(self.seeds)
        return f"{self.gathered['task']}, {Path(self.gathered['model']).name}, {seeds} seed{'s' if seeds > 1 else ''}"

    def difference(self, what: str, ours: str, theirs: str) -> Difference | None:
        """None where a run or its measurement is missing. A problem that all seeds were tested on counts once, by its mean."""
        found: dict[Any, list[float]] = {}
        for seed in self.seeds:
            both = [self.values(what, name, seed) if (name, seed) in self.rows else None for name in (ours, theirs)]
            if both[0] is None or both[1] is None:
                return None
            for problem, value in both[0].items():
                key = problem if self.same_problems else (seed, problem)
                found.setdefault(key, []).append(value - both[1][problem])
        means = [sum(values) / len(values) for values in found.values()]
        return (sum(means) / len(means), mean_interval(means)) if means else None

    def _values(self, what: str, name: str, seed: int) -> dict[str, float] | None:
        """A number for each held-out problem, the same problems for all methods."""
        folder = Path(self.rows[name, seed]["folder"]) / "measure"
        if what == "accuracy":
            return {row.problem_id: float(row.right) for row in RecordFile(folder / "verdicts.jsonl", JudgedResponse)}
        if what == "majority vote":
            path = folder / "votes.jsonl"
            return {row.problem_id: _voted(row) for row in RecordFile(path, Votes)} if path.exists() else None
        scores = RecordFile(folder / "scores.jsonl", GroupScores)
        if what == "loss of references":
            found = ((row.problem_id, row.reference_logprob, row.reference_length) for row in scores)
            return {problem: -total / length for problem, total, length in found if total is not None and length}
        groups = RecordFile(folder.parents[2] / "held_out" / "groups.jsonl", Group)
        pairs = zip(groups, scores, strict=True)
        shares = {row.problem_id: assessment_accuracy(row.scores, group.qualities) for group, row in pairs}
        return {problem: share for problem, share in shares.items() if share is not None}


def _voted(votes: Votes) -> float:
    samples = [Sampled(*one) for one in zip(votes.answers, votes.right, votes.scores, strict=True)]
    chosen = majority_vote(samples)
    return float(chosen is not None and chosen.right)


def verdict(sign: int, interval: tuple[float, float]) -> str:
    """Of a claim of this sign, by the interval of the difference."""
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


@dataclass(frozen=True)
class Claim:
    """sign: +1 claimed above, -1 claimed below, 0 claimed equal, +2 claimed not below."""

    text: str
    what: str
    sign: int
    ours: str
    theirs: str


def claims() -> list[Claim]:
    rows: list[Claim] = []
    for suffix, words in (("", "binary"), (":feedback=ranking", "ranking")):
        for name in ("aft-dc", "aft-bc"):
            rows.append(Claim(f"AFT is above VFT ({words})", "accuracy", 1, name + suffix, "vft-steps"))
        for name in ("aft-dc", "aft-bc"):
            rows.append(Claim(f"AFT is at least equal to RFT ({words})", "accuracy", 2, name + suffix, "rft"))
        for name in ("rrhf", "pro"):
            text = f"RRHF and PRO without constraint are below VFT ({words})"
            rows.append(Claim(text, "accuracy", -1, name + suffix, "vft-steps"))
        text = f"without constraint: assessment accuracy up, accuracy down, likelihood of references down ({words})"
        for what, sign in (("assessment accuracy", 1), ("accuracy", -1), ("loss of references", 1)):
            rows.append(Claim(text, what, sign, "aft" + suffix, "vft-steps"))
        for name in ("aft", "rrhf", "pro", "dpo"):
            for constraint in ("dc", "bc"):
                constrained = f"{name}-{constraint}{suffix}" + (":beta=20" if (name, constraint) == ("dpo", "bc") else "")
                rows.append(Claim(f"constraints repair ({words})", "accuracy", 1, constrained, name + suffix))
        rows.append(Claim(f"DC is about equal to BC ({words})", "accuracy", 0, "aft-dc" + suffix, "aft-bc" + suffix))
        rows.append(Claim(f"gains are kept under voting ({words})", "majority vote", 1, "aft-bc" + suffix, "vft-steps"))
    return rows + questions()


def questions() -> list[Claim]:
    """Our own: what right samples in the VFT loss add to a loss, and a loss to them; newer losses, their constraints and RL."""
    rows = [Claim("AFT-BC orders candidates better than VFT", "assessment accuracy", 1, "aft-bc", "vft-steps")]
    both = ("aft", "aft-dc", "aft-bc", "rrhf", "rrhf-bc", "pro", "pro-bc", "dpo-bc:beta=20", "simpo-bc")
    pairs = [(f"{name}:sft_on=positives", name) for name in both] + [("rpo", "dpo")]
    for ours, name in pairs:
        rows.append(Claim("right samples in the VFT loss add to a loss", "accuracy", 1, ours, name))
    for ours, _ in pairs:
        rows.append(Claim("a loss adds to RFT", "accuracy", 1, ours, "rft"))
    rows += [Claim("a loss adds to RFT", "assessment accuracy", 1, ours, "rft") for ours in ("aft-bc:sft_on=positives", "rpo")]
    rows.append(Claim("constraints repair newer losses", "accuracy", 1, "simpo-bc", "simpo"))
    rows.append(Claim("constraints repair newer losses", "accuracy", 1, "nca-bc:beta=20", "nca"))
    newer = ("simpo", "ipo", "dpop", "minor-dpo", "bdpo", "sppo", "nca", "infonca", "apo-zero")
    for what in ("accuracy", "assessment accuracy"):
        rows += [Claim("AFT-BC is at least equal to newer losses", what, 2, "aft-bc", name) for name in newer]
    rows += [Claim("AFT-BC is at least equal to RL", "accuracy", 2, "aft-bc", name) for name in ("grpo", "rloo")]
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


def figures(what: str, difference: Difference) -> str:
    value, (low, high) = difference
    factor, digits = (1, 3) if what == "loss of references" else (100, 1)
    return f"{factor * value:+.{digits}f} [{factor * low:+.{digits}f}, {factor * high:+.{digits}f}]"


def claims_table(all_results: Sequence[Results]) -> None:
    """A row for each claim that is measured somewhere; in how many comparisons it holds, last."""
    rows = []
    for claim in claims():
        differences = [results.difference(claim.what, claim.ours, claim.theirs) for results in all_results]
        if not any(differences):
            continue
        said = [verdict(claim.sign, found[1]) if found else None for found in differences]
        cells = [f"{figures(claim.what, d)} {s}" if d else "-" for d, s in zip(differences, said, strict=True)]
        together = ", ".join(f"{word} {number}" for word, number in Counter(filter(None, said)).items())
        compared = f"{claim.what}: {claim.ours} - {claim.theirs}"
        rows.append([claim.text, compared, *cells, *([together] if len(all_results) > 1 else [])])
    table(["claim", "measured", *(r.name for r in all_results), *(["together"] if len(all_results) > 1 else [])], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arguments", nargs="+", metavar="RECIPE or SECTION.KEY=VALUE", help="settings are for the recipe before")
    args = parser.parse_args()
    asked: list[tuple[Path, list[str]]] = []
    for argument in args.arguments:
        if "=" not in argument:
            asked.append((Path(argument), []))
        elif asked:
            asked[-1][1].append(argument)
        else:
            parser.error(f"{argument} stands before any recipe; name the recipe first")
    all_results = [Results(comparison(load_recipe(path, overrides))) for path, overrides in asked]
    for results in all_results:
        print(f"{results.name}\n")
        methods_table(results.gathered)
        if found := results.gathered["correlation"]:
            low, high = found["ci95"]
            methods = f"over {found['num_methods']} methods"
            print(f"accuracy and assessment accuracy {methods}: r = {found['r']:.2f} [{low:.2f}, {high:.2f}]\n")
    claims_table(all_results)


if __name__ == "__main__":
    main()
