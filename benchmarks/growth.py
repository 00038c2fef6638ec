"""How time and memory grow with the number of problems: reading, labelling, making batches and scoring.

    python benchmarks/growth.py --sizes 1000 10000 100000 --score-sizes 100 1000

Every problem of the arithmetic task has 8 candidates: its reference, reworded or with a wrong answer. Each measurement is a
process of its own. Time is processor time, which other work on the machine disturbs least, and wall time; memory is the most
that was resident, and how much of it came on top of the imports, the tokenizer and the model. Linear time and flat memory
mean that the processor seconds for 1,000 problems and the memory stay the same.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from aftune.pipeline.context import Context
    from aftune.prompts.encoding import EncodedGroup
    from aftune.records import Candidate, Group

Item = TypeVar("Item")
NUM_CANDIDATES = 8
BATCH = 16  # groups


def make(folder: Path, num_problems: int) -> None:
    """The files of the stages `prepare` and `sample`; candidates are grouped by problem, problems are in any order."""
    from aftune.records import write_records

    context = _context(folder)
    write_records(folder / "prepare" / "train.jsonl", context.task.problems("train", 0, num_problems))
    write_records(folder / "sample" / "candidates.jsonl", _candidates(context, num_problems))


def _candidates(context: "Context", num_problems: int) -> "Iterator[Candidate]":
    from aftune.records import Candidate

    order = random.Random(0).sample(range(num_problems), num_problems)
    for some in _blocks(order, 128):
        problems = [next(context.task.problems("train", place, place + 1)) for place in some]
        texts = [text for problem in problems for text in _responses(problem.rationale or "", int(problem.gold_answer))]
        ids = context.tokenizer(texts, add_special_tokens=False)["input_ids"]
        for place, (text, token_ids) in enumerate(zip(texts, ids, strict=True)):
            problem, index = problems[place // NUM_CANDIDATES], place % NUM_CANDIDATES
            yield Candidate(problem_id=problem.id, index=index, text=text, token_ids=token_ids, seed=2**62 + place)


def _responses(reference: str, answer: int) -> list[str]:
    body = reference.rpartition("\n")[0]
    return [f"Step {n}.\n{body}\n#### {answer + n % 2 * n}" for n in range(NUM_CANDIDATES)]


def _context(folder: Path) -> "Context":
    from aftune.pipeline.context import Context
    from aftune.pipeline.directory.run_directory import RunDirectory
    from aftune.recipe import Recipe

    return Context(Recipe(run_dir=folder), RunDirectory(folder))


def reading(folder: Path) -> Callable[[], int]:
    from aftune.records import Candidate, iter_records

    return lambda: sum(1 for _ in iter_records(folder / "sample" / "candidates.jsonl", Candidate))


def labelling(folder: Path) -> Callable[[], int]:
    from aftune.pipeline.stages.label import label

    context = _context(folder)
    context.tokenizer("warm")
    return lambda: label(context)["candidates"]


def batching(folder: Path) -> Callable[[], int]:
    from torch.utils.data import DataLoader

    from aftune.scoring import collate
    from aftune.training.dataset import EncodedGroups, LongestFirst

    records, encode = _groups(folder)

    def run() -> int:
        groups = EncodedGroups(records, encode, context=10**9)
        order = LongestFirst(groups.num_tokens, seed=0)
        loader = DataLoader(groups, BATCH, sampler=order, collate_fn=collate)
        return sum(len(batch["problems"]) for batch in loader)

    return run


def scoring(folder: Path, float32: bool = True) -> Callable[[], int]:
    """As `evaluate` does it."""
    import torch

    from aftune.scoring import score_groups

    torch.set_num_threads(1)
    model, (groups, encode) = _context(folder).load_policy("base", float32=float32), _groups(folder)
    return lambda: sum(1 for _ in score_groups(model, map(encode, groups)))


def scoring_short(folder: Path) -> Callable[[], int]:
    """In the precision that `auto` chooses, as the log-probabilities of a reference policy are computed."""
    return scoring(folder, float32=False)


def _groups(folder: Path) -> "tuple[Sequence[Group], Callable[[Group], EncodedGroup]]":
    """The groups, read on demand, and the function that encodes them."""
    from aftune.prompts.encoding import encode_group
    from aftune.records import Group
    from aftune.records.large_files import RecordFile

    context = _context(folder)
    context.tokenizer("warm")

    def encode(group: Group) -> "EncodedGroup":
        prompt, reference = context.prompter(group.problem), context.task.reference_response(group.problem)
        return encode_group(context.tokenizer, group, prompt, reference=reference)

    return RecordFile(folder / "label" / "groups.jsonl", Group), encode


def _blocks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    remaining = iter(items)
    while block := list(islice(remaining, size)):
        yield block


STEPS = {
    "reading": reading,
    "labelling": labelling,
    "batching": batching,
    "scoring": scoring,
    "scoring, auto": scoring_short,
}


def measure(step: str, folder: Path) -> dict[str, float]:
    run = STEPS[step](folder)
    before = _peak_mib()
    started, started_cpu = time.perf_counter(), time.process_time()
    run()
    cpu, wall = time.process_time() - started_cpu, time.perf_counter() - started
    return {"cpu": cpu, "wall": wall, "peak": _peak_mib(), "before": before}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def in_a_process(*arguments: str) -> dict[str, float]:
    """What a fresh process measures: this one imports nothing, because a child's peak is never below its parent's."""
    output = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])  # after what a progress bar has printed
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--score-sizes", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--measure", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--make", nargs=2, metavar=("FOLDER", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(Path(arguments.make[0]), int(arguments.make[1]))
        print("{}")
    elif arguments.measure:
        print(json.dumps(measure(arguments.measure[0], Path(arguments.measure[1]))))
    else:
        table(arguments.steps, sorted(arguments.sizes), sorted(arguments.score_sizes))


def table(steps: list[str], sizes: list[int], score_sizes: list[int]) -> None:
    per_1000: dict[str, list[float]] = {step: [] for step in steps}
    extra: dict[str, list[float]] = {step: [] for step in steps}
    print(f"{NUM_CANDIDATES} candidates per problem, {BATCH} groups per batch")
    print(f"{'problems':>9} {'step':<20} {'wall s':>8} {'CPU s':>8} {'CPU s / 1,000':>14} {'peak MiB':>9} {'for the work':>13}")
    for size in sorted({*sizes, *score_sizes}):
        with tempfile.TemporaryDirectory() as folder:
            in_a_process("--make", folder, str(size))
            if size not in sizes:
                in_a_process("--measure", "labelling", folder)  # makes the groups to score
            for step in [step for step in steps if size in (score_sizes if step.startswith("scoring") else sizes)]:
                found = in_a_process("--measure", step, folder)
                per_1000[step].append(found["cpu"] / size * 1000)
                extra[step].append(found["peak"] - found["before"])
                print(
                    f"{size:>9,} {step:<20} {found['wall']:>8.2f} {found['cpu']:>8.2f} {per_1000[step][-1]:>14.4f} "
                    f"{found['peak']:>9.0f} {extra[step][-1]:>13.0f}",
                    flush=True,
                )
    for step, times in per_1000.items():
        if len(times) > 1:
            print(
                f"{step}: CPU time per problem at the largest size is {times[-1] / times[0]:.2f} times that at the smallest, "
                f"memory {extra[step][-1] - extra[step][0]:+.0f} MiB"
            )


if __name__ == "__main__":
    main()
