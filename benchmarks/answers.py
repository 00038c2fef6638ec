"""Verdicts a second: aftune's kinds beside the regular expressions of lm-evaluation-harness's gsm8k task and beside math-verify.

    python benchmarks/answers.py [--data FOLDER] [--rounds 5] [--against SRC]

One core; times are processor times, for math including the worker's. `--against`: the `src` folder of another version; both take
turns, each in a process of its own, and their ratio is printed. The responses are GSM8K's published model solutions
(gsm8k/example_model_solutions.jsonl of FOLDER, 5,276 of them) or, without a folder, made up. All ways take turns; it prints
medians over the rounds, and how many verdicts were "right".
Math-verify is left out where it is not installed.
"""

import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import psutil

from aftune.answers import CHOICE, MATH, NUMBER, MathKind, NumberKind, judge
from aftune.answers.checker import Checker

HARNESS_STRICT = re.compile(r"#### (\-?[0-9\.\,]+)")
HARNESS_FLEXIBLE = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")
HARNESS_IGNORED = (re.compile(r","), re.compile(r"\$"), re.compile(r"(?s).*#### "), re.compile(r"\.$"))
KINDS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")

Pair = tuple[str, str]  # response, gold answer


def harness(text: str, gold: str, pattern: re.Pattern[str], last: bool) -> bool:
    """What the task's filter and its exact_match do: first or last match, then the characters that it ignores removed."""
    found = pattern.findall(text)
    answer = found[-1 if last else 0] if found else "[invalid]"
    if isinstance(answer, tuple):
        answer = next((group for group in answer if group), "[invalid]")
    for ignored in HARNESS_IGNORED:
        answer, gold = ignored.sub("", answer), ignored.sub("", gold)
    return answer.strip() == gold


def gsm8k(data: Path | None) -> list[Pair]:
    if data is None:
        rng = random.Random(0)
        working = "She has 16 eggs and eats 3. That makes 16 - 3 = 13 eggs, which sell at $2 each.\n"
        return [(working * rng.randint(2, 6) + f"A: {n}\n", str(n)) for n in range(5000)]
    rows = [json.loads(line) for line in (data / "gsm8k" / "example_model_solutions.jsonl").read_text().splitlines()]
    return [(row[kind]["solution"], row["ground_truth"].rpartition("A:")[2].strip()) for row in rows for kind in KINDS]


def chat(data: Path | None) -> list[Pair]:
    """Long answers of chat models to GSM8K's questions (ZeroEval), with the question's gold answer; without a folder, made up."""
    if data is None:
        return [(text * 4, gold) for text, gold in gsm8k(None)[:1000]]
    files = sorted((data / "candidates" / "zeroeval_gsm").glob("*.json.gz"))
    rows = [row for file in files for row in json.loads(gzip.decompress(file.read_bytes()))]
    return [(row["output"][0], row["answer"].removeprefix("#").strip()) for row in rows]


def expressions() -> list[Pair]:
    """Answers that need a comparison, each a different one."""
    forms = (
        (r"\frac{{\sqrt{{{n}}}}}{{{n}}}", r"\frac{{1}}{{\sqrt{{{n}}}}}"),
        (r"(x+{n})(x-1)", r"x^2+{m}x-{n}"),
        (r"[{n}, \infty)", r"(-\infty, {n}]"),
        (r"2^{{{n}}} \pi", r"{n} \pi"),
    )
    return [tuple(form.format(n=n, m=n - 1) for form in pair) for n in range(2, 27) for pair in forms]  # type: ignore[misc]


def groups() -> list[tuple[list[str], str]]:
    """Six answers for each gold one, all of which need a comparison: half of them are right."""
    forms = (r"(x+{n})(x-1)", r"x(x+{m})-{n}", r"(x-1)({n}+x)", r"x^2+{n}x-{n}", r"(x+{n})^2", r"x^2-{m}x-{n}")
    return [([form.format(n=n, m=n - 1) for form in forms], f"x^2+{n - 1}x-{n}") for n in range(3, 23)]


def by_groups(num_threads: int) -> tuple[float, int]:
    """Seconds by the clock for a verdict, as `label` gives them with so many threads, and how many were right; with new workers,
    which have compared something before they are timed."""

    def judged(group: tuple[list[str], str]) -> int:
        answers, gold = group
        return sum(judge(kind, f"\\boxed{{{answer}}}", gold).right for answer in answers)

    with Checker() as checker:
        kind = MathKind(checker=checker)
        with ThreadPoolExecutor(num_threads) as pool:
            list(pool.map(judged, [([f"{n}x^2"], "y^2") for n in range(2 * num_threads)]))
            started = time.perf_counter()
            right = sum(pool.map(judged, groups()))
            return (time.perf_counter() - started) / sum(len(answers) for answers, _ in groups()), right


def processor_seconds() -> float:
    """Of this process and of the workers that compare expressions."""
    workers = psutil.Process().children()
    return time.process_time() + sum(worker.cpu_times().user + worker.cpu_times().system for worker in workers)


def compare(against: Path, arguments: list[str], rounds: int) -> None:
    """Runs this file with both versions in turn; prints the median time of each and their ratio."""
    here = Path(__file__).resolve().parent.parent / "src"
    times: dict[str, tuple[list[float], list[float]]] = {}
    for _ in range(rounds):
        for version, source in enumerate((here, against.resolve())):
            command = [sys.executable, __file__, "--rounds", "1", *arguments]
            environment = {**os.environ, "PYTHONPATH": str(source)}
            output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
            for line in output.splitlines():
                found = re.match(r"(.{44}) +[\d,]+ +([\d,.]+) ", line)
                if found:
                    times.setdefault(found[1].strip(), ([], []))[version].append(float(found[2].replace(",", "")))
    print(f"{'way':44} {'here, µs':>12} {'other, µs':>12} {'here / other':>13}")
    for name, (ours, others) in times.items():
        print(f"{name:44} {median(ours):12,.1f} {median(others):12,.1f} {median(ours) / median(others):13.2f}")


def measure(ways: dict[str, tuple[Callable[[str, str], bool], Sequence[Pair]]], rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    right = {}
    for _ in range(rounds):
        for name, (way, pairs) in ways.items():
            started = processor_seconds()
            right[name] = sum(way(text, gold) for text, gold in pairs)
            seconds[name].append((processor_seconds() - started) / len(pairs))
    print(f"{'way':44} {'verdicts/s':>12} {'each, µs':>10} {'right':>7} {'of':>6}")
    for name, (_, pairs) in ways.items():
        print(row(name, median(seconds[name]), right[name], len(pairs)))


def row(name: str, each: float, right: int, number: int) -> str:
    return f"{name:44} {1 / each:12,.0f} {each * 1e6:10,.1f} {right:7,} {number:6,}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path)
    arguments = parser.parse_args()
    if arguments.against:
        compare(arguments.against, ["--data", str(arguments.data)] if arguments.data else [], arguments.rounds)
        return
    solutions = gsm8k(arguments.data)
    hashes = [(text.replace("A:", "####"), gold) for text, gold in solutions]
    options = ["A)21", "B)21.5", "C)22", "D)22.5", "E)23"]
    choices = [
        (f"{text[:300]}\nThe answer is ({letter}).", "C") for (text, _), letter in zip(solutions, "ABCDE" * 2000, strict=False)
    ]
    answers = chat(arguments.data)
    lettered = [  # the field "answer" would count
        (text.replace('"answer"', '"number"') + f"\nThe answer is ({letter}).", "C")
        for (text, _), letter in zip(answers, "ABCDE" * 2000, strict=False)
    ]
    ways: dict[str, tuple[Callable[[str, str], bool], Sequence[Pair]]] = {
        "number, strict": (lambda text, gold: judge(NUMBER, text, gold).right, hashes),
        "harness, strict": (lambda text, gold: harness(text, gold, HARNESS_STRICT, last=False), hashes),
        "number, flexible": (lambda text, gold: judge(NUMBER, text, gold, "flexible").right, solutions),
        "harness, flexible": (lambda text, gold: harness(text, gold, HARNESS_FLEXIBLE, last=True), solutions),
        "choice, strict": (lambda text, gold: judge(CHOICE, text, gold, "strict", options).right, choices),
        "choice, flexible": (lambda text, gold: judge(CHOICE, text, gold, "flexible", options).right, choices),
        "number in JSON, long": (lambda text, gold: judge(NumberKind(form="json"), text, gold).right, answers),
        "number, flexible, long": (lambda text, gold: judge(NUMBER, text, gold, "flexible").right, answers),
        "choice, strict, long": (lambda text, gold: judge(CHOICE, text, gold, "strict", options).right, lettered),
        "choice, flexible, long": (lambda text, gold: judge(CHOICE, text, gold, "flexible", options).right, lettered),
    }
    measure(ways, arguments.rounds)
    try:
        from math_verify import parse, verify
    except ImportError:
        print("math-verify is not installed: no figures for kind math")
        return
    boxed = [(f"So \\boxed{{{answer}}}.", gold) for answer, gold in expressions()]
    simple = [(f"So \\boxed{{{n}}}.", f"\\frac{{{2 * n}}}{{2}}") for n in range(100)]

    def library(text: str, gold: str) -> bool:
        return bool(verify(parse(f"${gold}$"), parse(text)))

    # Only one round: in a second one, each of them would remember its results.
    print()
    judge(MATH, "\\boxed{x^2}", "y^2")  # starts the worker
    library("\\boxed{x^2}", "y^2")
    measure(
        {
            "math, expressions": (lambda text, gold: judge(MATH, text, gold).right, boxed),
            "math-verify alone, expressions": (library, boxed),
            "math, numbers": (lambda text, gold: judge(MATH, text, gold).right, simple),
            "math-verify alone, numbers": (library, simple),
        },
        1,
    )
    print()
    for num_threads in (1, os.cpu_count() or 1):
        seconds, right = by_groups(num_threads)
        name = f"math, six answers a gold one, {num_threads} thread{'s' * (num_threads > 1)}"
        print(row(name, seconds, right, sum(len(answers) for answers, _ in groups())))


if __name__ == "__main__":
    main()
