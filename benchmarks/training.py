"""Training speed of aftune and its peers, on the same groups.

    python benchmarks/training.py --data FOLDER                     # GSM8K's real lengths, 16 groups of 6 candidates + reference
    python benchmarks/training.py --data FOLDER --prompt-tokens 1000
    python benchmarks/training.py --data FOLDER --peers-keep-memory # peers also with aftune's allocator setting
    python benchmarks/training.py --data FOLDER --model FOLDER --contenders aftune aftune-lora dpo-lora --precision float32
    python benchmarks/training.py --quick                           # a minute, random lengths, small numbers

Every contender is a process of its own (contender.py) that stays alive; in each round each makes one optimizer step on all
groups, in turn, after a warm-up on one group. It prints medians over the rounds [lowest-highest]; ratios are taken within a
round. Peers are described in peers.py. MFU is the share of the machine's matmul rate, measured in the same round in the same
precision and with as many threads, that goes into the operations that the groups need (workloads.model_flops); it counts no
padding and no repeated prompt, so a contender that computes less is not penalised for it.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import workloads
from contender import NAMES, Contender, NotRunError, Settings, Step
from transformers import AutoConfig, AutoTokenizer


def spread(values: Sequence[float], digits: int = 2) -> str:
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}-{max(values):.{digits}f}]"


def gibibytes(values: Sequence[int]) -> str:
    return f"{max(values) / 2**30:.2f}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def contenders(args: argparse.Namespace, precision: str) -> list[Settings]:
    def settings(name: str, *, keep_memory: bool) -> Settings:
        return Settings(
            name,
            precision,
            args.threads,
            steps=min(args.rounds, args.dpo_rounds) if name.startswith("dpo") else args.rounds,
            keep_memory=keep_memory,
            micro_batch=args.padded_groups if name == "padded" else args.dpo_pairs,
            token_budget=args.token_budget,
            checkpointing=args.checkpointing,
        )

    chosen = [settings(name, keep_memory=name.startswith("aftune")) for name in args.contenders]
    if args.peers_keep_memory:
        chosen += [settings(name, keep_memory=True) for name in args.contenders if not name.startswith("aftune")]
    return [Settings("matmul", precision, args.threads, steps=args.rounds), *chosen]


def measure(folder: Path, chosen: Sequence[Settings], rounds: int) -> dict[str, list[Step]]:
    """The steps of every contender by title, in rounds; prints why a contender does not run."""
    steps: dict[str, list[Step]] = {}
    with ExitStack() as stack:
        running = []
        for settings in chosen:
            try:
                running.append(stack.enter_context(Contender(folder, settings)))
            except NotRunError as reason:
                print(f"{settings.title} does not run here: {reason}")
        for number in range(rounds):
            for contender in [one for one in running if number < one.settings.steps]:
                title = contender.settings.title
                try:
                    steps.setdefault(title, []).append(contender.step())
                except NotRunError as reason:
                    print(f"{title} does not run here: {reason}")
                    running.remove(contender)
                    del steps[title]
    return steps


def report(steps: dict[str, list[Step]], num_groups: int, num_tokens: int, flops: Callable[[str], float]) -> None:
    peaks = [step.flops for step in steps.pop("matmul")]
    print(f"matmul peak: {spread([peak / 1e9 for peak in peaks], 0)} GFLOP/s")
    baselines = [title for title in steps if title.split(",")[0] in ("padded", "dpo", "aftune", "dpo-lora")]
    rows = []
    for title, own in steps.items():
        seconds = [step.seconds for step in own]
        rows.append(
            [
                title,
                spread([num_groups / value for value in seconds]),
                spread([num_tokens / value for value in seconds], 0),
                gibibytes([step.memory_peak for step in own]),
                spread([100 * flops(title) / value / peak for value, peak in zip(seconds, peaks, strict=False)], 1),
                *(
                    spread([other.seconds / value for other, value in zip(steps[baseline], seconds, strict=False)])
                    for baseline in baselines
                ),
            ]
        )
    header = ["contender", "groups/s", "response tokens/s", "peak GiB", "MFU, %", *(f"x {baseline}" for baseline in baselines)]
    print_table(header, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with GSM8K's files; without it, lengths are random")
    parser.add_argument(
        "--model", type=Path, help="folder of a real Llama model (with --data), instead of 25 million random weights"
    )
    parser.add_argument("--contenders", nargs="+", choices=[name for name in NAMES if name != "matmul"], default=list(NAMES[:7]))
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dpo-rounds", type=int, default=1, help="rounds in which DPO, the slowest, takes part")
    parser.add_argument("--groups", type=int, default=16, help="groups of one optimizer step")
    parser.add_argument("--k", type=int, default=6, help="candidates of a group, besides the reference")
    parser.add_argument("--prompt-tokens", type=int, help="replace the prompts by random ones of this length")
    parser.add_argument("--padded-groups", type=int, default=1, help="groups in a micro-batch of the padded trainer")
    parser.add_argument("--dpo-pairs", type=int, default=2, help="pairs in a micro-batch of DPO")
    parser.add_argument("--token-budget", type=int, help="tokens in one pass of aftune; its own default otherwise")
    parser.add_argument("--checkpointing", action="store_true", help="aftune computes activations again in the backward pass")
    parser.add_argument("--peers-keep-memory", action="store_true", help="run the peers with aftune's allocator setting too")
    parser.add_argument("--quick", action="store_true", help="a smaller model, 2 groups, float32, one round")
    args = parser.parse_args()
    config = AutoConfig.from_pretrained(args.model) if args.model else workloads.llama_config()
    if args.quick:
        config = workloads.llama_config(4096, width=128, layers=2)
        args.groups, args.rounds, args.precision = 2, 1, ["float32"]
    if args.data:
        if args.model:
            tokenizer = AutoTokenizer.from_pretrained(args.model)
        else:
            tokenizer = workloads.gsm8k_tokenizer(args.data, config.vocab_size)
        groups = workloads.gsm8k_groups(args.data, tokenizer, args.groups, args.k)
    else:
        tokenizer = workloads.plain_tokenizer(config.vocab_size)
        groups = workloads.synthetic_groups(
            args.groups, args.k, prompt_tokens=80, response_tokens=120, vocabulary=config.vocab_size, spread=0.5
        )
    if args.prompt_tokens:
        groups = workloads.with_prompts_of(groups, args.prompt_tokens, config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        num_parameters = workloads.save(Path(folder), config, tokenizer, groups, args.model)
        print(workloads.describe(groups, num_parameters))
        for precision in args.precision:
            print(f"\n{precision}, {args.threads} threads")
            steps = measure(Path(folder), contenders(args, precision), args.rounds)
            report(
                steps,
                len(groups),
                workloads.response_tokens(groups),
                lambda title: workloads.model_flops(config, groups, detached=title == "aftune-detached"),
            )


if __name__ == "__main__":
    main()
