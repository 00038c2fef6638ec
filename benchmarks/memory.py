"""Peak memory of one training step.

    python benchmarks/memory.py                          # vocabulary 151,936: aftune against the padded trainer, k = 8 x 512
    python benchmarks/memory.py --many 64 --tokens 2048  # and how aftune's grows from 8 candidates to 64
    python benchmarks/memory.py --quick                  # a minute, small numbers

Every step is the first of a fresh process: "step" is the most resident memory until its end, optimizer state included, minus
what the process had just before (libraries and weights). The model is a small body under a large head. An allocation beyond
the memory that is free fails, and the contender is reported as not run.
"""

import argparse
import tempfile
from pathlib import Path

import workloads
from contender import Contender, NotRunError, Settings, Step

from training import print_table


def measure(config: workloads.LlamaConfig, settings: Settings, *, k: int, prompt_tokens: int, tokens: int, groups: int = 1) -> Step:
    """One step on groups of k candidates and a reference, each of `tokens` tokens; raises NotRunError."""
    made = workloads.synthetic_groups(groups, k, prompt_tokens=prompt_tokens, response_tokens=tokens, vocabulary=config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        workloads.save(Path(folder), config, workloads.plain_tokenizer(config.vocab_size), made)
        with Contender(Path(folder), settings) as contender:
            return contender.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--width", type=int, default=128, help="state width of the model")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--k", type=int, default=8, help="candidates of the group, besides the reference")
    parser.add_argument("--tokens", type=int, default=512, help="tokens of a response")
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--many", type=int, help="measure only aftune, with k and with this many candidates")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--token-budget", type=int, help="tokens in one pass of aftune; its own default otherwise")
    parser.add_argument(
        "--peers-keep-memory", action="store_true", help="run the padded trainer with aftune's allocator setting too"
    )
    parser.add_argument("--quick", action="store_true", help="vocabulary 16,000 and 64 tokens")
    args = parser.parse_args()
    if args.quick:
        args.vocabulary, args.tokens, args.prompt_tokens = 16_000, 64, 32
    config = workloads.llama_config(args.vocabulary, width=args.width, layers=args.layers)
    print(f"vocabulary {args.vocabulary:,}, {args.tokens:,} tokens a response, {args.prompt_tokens:,} a prompt, {args.precision}")

    def settings(name: str, *, keep_memory: bool) -> Settings:
        return Settings(name, args.precision, args.threads, warm_up=False, keep_memory=keep_memory, token_budget=args.token_budget)

    own = settings("aftune", keep_memory=True)
    if args.many:
        cases = [(own, args.k), (own, args.many)]
    else:
        cases = [(own, args.k), (settings("padded", keep_memory=False), args.k)]
        if args.peers_keep_memory:
            cases.append((settings("padded", keep_memory=True), args.k))
    rows, first = [], None
    for case, k in cases:
        try:
            step = measure(config, case, k=k, prompt_tokens=args.prompt_tokens, tokens=args.tokens)
        except NotRunError as reason:
            print(f"{case.title}, {k} candidates, does not run here: {reason}")
            continue
        first = first or step
        sizes = [step.memory_before, step.memory_peak, step.memory_peak - step.memory_before]
        rows.append(
            [
                case.title,
                str(k),
                *(f"{size / 2**30:.2f}" for size in sizes),
                f"{step.memory_peak / first.memory_peak:.2f}",
                f"{sizes[2] / (first.memory_peak - first.memory_before):.2f}",
                f"{step.seconds:.1f}",
            ]
        )
    header = ["contender", "candidates", "before GiB", "peak GiB", "step GiB", "peak / first", "step / first", "seconds"]
    print_table(header, rows)


if __name__ == "__main__":
    main()
