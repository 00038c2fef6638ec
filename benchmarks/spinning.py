"""How long threads that wait for each other spin (GOMP_SPINCOUNT), and what that costs on a busy machine.

    python benchmarks/spinning.py [--seconds 10] [--rounds 2]

Training steps of the bundled model in a process of its own for each setting, by turns: libgomp's own, 1,000, as the command
`aftune` sets it, and one thread (OMP_NUM_THREADS=1); on the machine as it is, and beside one busy process on each core. Linux with
libgomp, which torch's wheels bring along.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

_SETTINGS = {"libgomp's own": {}, "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"}, "one thread": {"OMP_NUM_THREADS": "1"}}


def _busy() -> None:
    while True:
        pass


def _steps(seconds: float) -> None:
    """Prints training steps a second, of 16 rows of 120 tokens, in float32."""
    import torch

    from aftune.models.loading import load_model
    from aftune.recipe import ModelSection

    model = load_model("bundled", ModelSection(precision="float32", attention="eager"), float32=True)
    ids = torch.randint(5, 200, (16, 120))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def step() -> None:
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()
    number, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        step()
        number += 1
    print(number / (time.perf_counter() - started))


def _measured(setting: dict[str, str], seconds: float) -> float:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, "--seconds", str(seconds), "--steps"]
    return float(subprocess.run(command, env=clean | setting, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.steps:
        _steps(args.seconds)
        return
    cores = len(os.sched_getaffinity(0))
    print("| setting | steps/s alone | steps/s beside a busy process on each core |")
    print("|---|---|---|")
    found: dict[str, dict[int, list[float]]] = {name: {0: [], cores: []} for name in _SETTINGS}
    for number in (0, cores):
        others = [multiprocessing.Process(target=_busy, daemon=True) for _ in range(number)]
        for other in others:
            other.start()
        for _ in range(args.rounds):
            for name, setting in _SETTINGS.items():
                found[name][number].append(_measured(setting, args.seconds))
        for other in others:
            other.terminate()
    for name, rates in found.items():
        print(f"| {name} | " + " | ".join(f"{statistics.mean(own):.2f}" for own in rates.values()) + " |")


if __name__ == "__main__":
    main()
