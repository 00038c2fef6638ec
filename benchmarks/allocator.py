"""What keeping freed memory saves (aftune.common.process): seconds of the same training steps with and without it.

    python benchmarks/allocator.py --data FOLDER     # FOLDER holds GSM8K's files

Model and groups are those of training.py; each way is a process of its own, and they take turns. It prints medians
[lowest-highest] over the rounds; the ratio is taken within a round.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

import workloads
from contender import Contender, Settings

from training import gibibytes, print_table, spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with GSM8K's files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    config = workloads.llama_config()
    tokenizer = workloads.gsm8k_tokenizer(args.data, config.vocab_size)
    groups = workloads.gsm8k_groups(args.data, tokenizer, 16, 6)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        workloads.save(Path(folder), config, tokenizer, groups)
        for precision in ("float32", "bfloat16"):
            both = [Settings("aftune", precision, args.threads, args.rounds, keep_memory=keep) for keep in (True, False)]
            with ExitStack() as stack:
                running = [stack.enter_context(Contender(Path(folder), settings)) for settings in both]
                steps = [[contender.step() for contender in running] for _ in range(args.rounds)]
            kept, freed = zip(*steps, strict=True)
            rows.append(
                [
                    precision,
                    *(spread([step.seconds for step in column]) for column in (kept, freed)),
                    *(gibibytes([step.memory_peak for step in column]) for column in (kept, freed)),
                    spread([b.seconds / a.seconds for a, b in steps]),
                ]
            )
    print_table(["precision", "kept s", "given back s", "kept GiB", "given back GiB", "ratio"], rows)


if __name__ == "__main__":
    main()
