"""A few held-out questions of a finished comparison: what some methods answer, and how they score right and wrong candidates.

    python benchmarks/cases.py recipes/compare-real.yaml --methods vft-steps,aft-bc [--seed 0] [--number 5]

The first questions that have a right and a wrong candidate, so that none is picked by what the methods make of it.
"""

import argparse
from itertools import islice
from pathlib import Path

from aftune.pipeline.compare.runs import comparison
from aftune.recipe import load_recipe
from aftune.records import Group, GroupScores, JudgedResponse
from aftune.records.large_files import RecordFile


def shown(text: str) -> str:
    """A text as a cell of a table."""
    return " ⏎ ".join(text.strip().splitlines()).replace("|", "\\|")


def case(group: Group, answers: dict[str, JudgedResponse], scores: dict[str, GroupScores]) -> str:
    """A question in Markdown: the greedy answers, and the candidates with their scores, best first under the last method."""
    lines = [
        f"**{shown(group.problem.question)}** ({group.problem.gold_answer})",
        "",
        "| model | greedy answer | |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {shown(row.text)} | {'right' if row.right else 'wrong'} |" for name, row in answers.items()]
    names = list(scores)
    lines += ["", "| candidate | | " + " | ".join(f"score, {name}" for name in names) + " |", "|---" * (2 + len(names)) + "|"]
    by_score = sorted(range(len(group.candidates)), key=lambda place: -scores[names[-1]].scores[place])
    for place in by_score:
        right = "right" if group.qualities[place] == max(group.qualities) else "wrong"
        values = " | ".join(f"{scores[name].scores[place]:.3f}" for name in names)
        lines.append(f"| {shown(group.candidates[place].text)} | {right} | {values} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="SECTION.KEY=VALUE")
    parser.add_argument("--methods", default="vft-steps,aft-bc")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, default=5)
    args = parser.parse_args()
    wanted = comparison(load_recipe(args.recipe, args.overrides), args.methods.split(","))
    folders = {method.name: wanted.method_recipe(method, args.seed).run_dir / "measure" for method in wanted.methods}
    groups = RecordFile(wanted.shared(args.seed).recipe.run_dir / "held_out" / "groups.jsonl", Group)
    verdicts = {name: RecordFile(folder / "verdicts.jsonl", JudgedResponse) for name, folder in folders.items()}
    scores = {name: RecordFile(folder / "scores.jsonl", GroupScores) for name, folder in folders.items()}
    mixed = (place for place, group in enumerate(groups) if len(set(group.qualities)) > 1)
    for place in islice(mixed, args.number):
        print(case(groups[place], {name: rows[place] for name, rows in verdicts.items()}, {n: r[place] for n, r in scores.items()}))


if __name__ == "__main__":
    main()
