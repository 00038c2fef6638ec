"""Ratios of small benchmarks beside those that were kept, so that a change that makes something slower shows.

    make bench                                  # what has moved by more than 15 %
    python benchmarks/guard.py --keep           # keeps what is measured now, in baselines/
    python benchmarks/guard.py --only sampling

Each ratio is how many times aftune is as fast (or takes as little memory) as something that does the same work in turn with it,
in one thread, on made-up text: larger is better. Times differ between machines, ratios less so; the machine and the commit that
a baseline comes from stand in its file. Takes some three minutes.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import workloads
from contender import Settings

import answers
import sampling
from training import measure, print_table

BASELINES = Path(__file__).with_name("baselines")
MOVED = 0.15
ROUNDS = 3
Ratios = dict[str, float]


def training() -> Ratios:
    """Against the padded trainer, in time and in memory."""
    config = workloads.llama_config(16_384, width=256, layers=4)
    groups = workloads.synthetic_groups(4, 6, prompt_tokens=80, response_tokens=100, vocabulary=16_384, spread=0.5)
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        workloads.save(Path(folder), config, workloads.plain_tokenizer(16_384), groups)
        for precision in ("float32", "bfloat16"):
            chosen = [Settings(name, precision, 1, ROUNDS, keep_memory=name != "padded") for name in ("aftune", "padded")]
            ours, theirs = measure(Path(folder), chosen, ROUNDS).values()
            pairs = list(zip(ours, theirs, strict=True))
            ratios[f"a step in {precision}: padded"] = median(b.seconds / a.seconds for a, b in pairs)
            ratios[f"its memory: padded, {precision}"] = max(b.memory_peak for b in theirs) / max(a.memory_peak for a in ours)
    return ratios


def decoding() -> Ratios:
    """Against `model.generate`."""
    import torch
    from transformers import LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = LlamaForCausalLM(workloads.llama_config(sampling.VOCABULARY, width=256, layers=4)).eval()
    rng = random.Random(0)
    prompts = [[rng.randrange(2, 1000) for _ in range(rng.randint(40, 80))] for _ in range(8)]
    lengths = [[rng.randint(20, 100) for _ in range(8)] for _ in prompts]
    found = [
        [seconds(partial(run, model, prompts, lengths, 32)) for run in (sampling.with_engine, sampling.with_generate)]
        for _ in range(ROUNDS)
    ]
    return {"tokens in float32: generate": median(b / a for a, b in found)}


def verdicts() -> Ratios:
    """Against the regular expressions of lm-evaluation-harness, and math-verify."""
    from math_verify import parse, verify

    from aftune.answers import MATH, NUMBER, judge

    solutions = answers.gsm8k(None)[:2000]
    boxed = [(f"So \\boxed{{{answer}}}.", gold) for answer, gold in answers.expressions()]
    ours: Callable[[str, str], bool] = lambda text, gold: judge(NUMBER, text, gold, "flexible").right  # noqa: E731
    theirs: Callable[[str, str], bool] = lambda text, gold: answers.harness(text, gold, answers.HARNESS_FLEXIBLE, True)  # noqa: E731
    found = [[sum_seconds(way, solutions) for way in (ours, theirs)] for _ in range(ROUNDS)]
    judge(MATH, "\\boxed{x^2}", "y^2")  # starts the worker
    math = sum_seconds(lambda text, gold: judge(MATH, text, gold).right, boxed)
    alone = sum_seconds(lambda text, gold: bool(verify(parse(f"${gold}$"), parse(text))), boxed)
    return {"a number, flexible: harness": median(b / a for a, b in found), "an expression: math-verify": alone / math}


def start() -> Ratios:
    """`aftune tasks`, which needs no model, against a Python that imports torch."""
    commands = [[sys.executable, *words] for words in (["-m", "aftune", "tasks"], ["-c", "import torch"])]
    run = partial(subprocess.run, stdout=subprocess.DEVNULL, check=True)
    found = [[seconds(partial(run, command)) for command in commands] for _ in range(ROUNDS)]
    return {"aftune tasks: import torch": median(b / a for a, b in found)}


BENCHMARKS: dict[str, Callable[[], Ratios]] = {"training": training, "sampling": decoding, "answers": verdicts, "start": start}


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def sum_seconds(way: Callable[[str, str], bool], pairs: list[answers.Pair]) -> float:
    """Processor time, also that of workers."""
    started = answers.processor_seconds()
    for text, gold in pairs:
        way(text, gold)
    return answers.processor_seconds() - started


def rows(name: str, ratios: Ratios) -> Iterator[list[str]]:
    path = BASELINES / f"{name}.json"
    kept = json.loads(path.read_text())["ratios"] if path.exists() else {}
    for what, ratio in ratios.items():
        change = ratio / kept[what] - 1 if what in kept else None
        moved = "new" if change is None else f"{change:+.0%}"
        flag = "" if change is None or abs(change) <= MOVED else "slower or larger" if change < 0 else "faster or smaller"
        yield [name, what, f"{kept[what]:.2f}" if what in kept else "-", f"{ratio:.2f}", moved, flag]


def keep(name: str, ratios: Ratios) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True, cwd=BASELINES.parent
    ).stdout
    known = {"ratios": {what: round(ratio, 3) for what, ratio in ratios.items()}, "machine": machine(), "commit": commit.strip()}
    text = json.dumps({**known, "date": datetime.now(UTC).date().isoformat()}, indent=2)
    BASELINES.mkdir(exist_ok=True)
    (BASELINES / f"{name}.json").write_text(text + "\n")


def machine() -> str:
    """The processor, how many cores, and the vector types that decide about speed."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    flags = set(facts.get("flags", "").split())
    kinds = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return (
        f"{facts.get('model name', platform.processor()).strip()}, {os.cpu_count()} cores, {' '.join(kinds) or platform.machine()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument("--keep", action="store_true", help="keep the ratios as the new baseline")
    args = parser.parse_args()
    found = {name: BENCHMARKS[name]() for name in args.only}
    print(machine())
    lines = [row for name, ratios in found.items() for row in rows(name, ratios)]
    print_table(["benchmark", "against", "kept", "now", "change", ""], lines)
    if args.keep:
        for name, ratios in found.items():
            keep(name, ratios)


if __name__ == "__main__":
    main()
