"""How time and memory grow with the number of candidates, their length, and the vocabulary: aftune and the padded trainer.

    python benchmarks/shapes.py --vary k
    python benchmarks/shapes.py --vary length
    python benchmarks/shapes.py --vary vocabulary
    python benchmarks/shapes.py --vary k --values 2 4 --quick

One of the three varies, the others stay fixed. Every row is a fresh process; seconds per group are the median of the rounds after a
warm-up, peak memory is that of the whole process.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import workloads
from contender import Contender, NotRunError, Settings

from training import print_table, spread

VALUES = {"k": [2, 4, 8, 16], "length": [64, 128, 256, 512, 1024], "vocabulary": [8_000, 32_000, 128_000]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vary", choices=list(VALUES), required=True)
    parser.add_argument("--values", type=int, nargs="+", help="values of what varies")
    parser.add_argument("--k", type=int, default=6, help="candidates of a group, besides the reference")
    parser.add_argument("--length", type=int, default=128, help="tokens of a response")
    parser.add_argument("--vocabulary", type=int, default=workloads.VOCABULARY)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--groups", type=int, default=2, help="groups of one optimizer step")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--token-budget", type=int, help="tokens in one pass of aftune; its own default otherwise")
    parser.add_argument("--peers-keep-memory", action="store_true", help="padded with aftune's allocator setting")
    parser.add_argument("--quick", action="store_true", help="a smaller model, one group and one round")
    args = parser.parse_args()
    if args.quick:
        args.groups = args.rounds = 1
    rows = []
    for value in args.values or VALUES[args.vary]:
        shape = {"k": args.k, "length": args.length, "vocabulary": args.vocabulary} | {args.vary: value}
        config = workloads.llama_config(shape["vocabulary"], **({"width": 128, "layers": 2} if args.quick else {}))
        groups = workloads.synthetic_groups(
            args.groups,
            shape["k"],
            prompt_tokens=args.prompt_tokens,
            response_tokens=shape["length"],
            vocabulary=shape["vocabulary"],
        )
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            workloads.save(folder, config, workloads.plain_tokenizer(shape["vocabulary"]), groups)
            own = Settings(
                "aftune", args.precision, args.threads, steps=args.rounds, keep_memory=True, token_budget=args.token_budget
            )
            peer = Settings("padded", args.precision, args.threads, steps=args.rounds, keep_memory=args.peers_keep_memory)
            try:
                with Contender(folder, own) as aftune, Contender(folder, peer) as padded:
                    steps = [(aftune.step(), padded.step()) for _ in range(args.rounds)]
            except NotRunError as reason:
                print(f"{args.vary} {value:,} does not run here: {reason}")
                continue
        seconds = [median(pair[which].seconds for pair in steps) / args.groups for which in (0, 1)]
        memory = [max(pair[which].memory_peak for pair in steps) for which in (0, 1)]
        ratios = [other.seconds / step.seconds for step, other in steps]
        rows.append(
            [
                f"{value:,}",
                *(f"{one:.3f}" for one in seconds),
                spread(ratios),
                *(f"{one / 2**30:.2f}" for one in memory),
                f"{memory[1] / memory[0]:.2f}",
            ]
        )
    header = [args.vary, "aftune s/group", "padded s/group", "ratio", "aftune peak GiB", "padded peak GiB", "ratio"]
    fixed = {"k": f"k {args.k}", "length": f"length {args.length}", "vocabulary": f"vocabulary {args.vocabulary:,}"}
    kept = ", padded keeps freed memory" if args.peers_keep_memory else ""
    print(f"{args.precision}{kept}, " + ", ".join(text for name, text in fixed.items() if name != args.vary))
    print_table(header, rows)


if __name__ == "__main__":
    main()
