"""Memory that a process keeps although nothing is in it: the head of a model with many words, over passes of different length.

    python benchmarks/holes.py [--words 262144] [--width 640] [--passes 16]

Forward and backward pass of the head (as of Gemma 3 270M) in bfloat16 on 200 to 1,000 response tokens, with gradients that are set
back every four passes. Three ways, each a process of its own: glibc as it is; all freed memory kept; and aftune's setting.
"""

import argparse
import ctypes
import os
import random
import subprocess
import sys
import time

import torch

from aftune.common import process
from aftune.models.kernels.chunked_head import chunked_logprobs

WAYS = ("glibc as it is", "all kept", "aftune")


def resident() -> float:
    """GiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**30


def one_way(way: str, words: int, width: int, passes: int) -> None:
    if way == "aftune":
        process.keep_freed_memory()
    elif way == "all kept":
        libc = ctypes.CDLL(None)
        libc.mallopt(process._M_MMAP_THRESHOLD, 2**30)
        libc.mallopt(process._M_TRIM_THRESHOLD, 2**31 - 1)
    torch.set_num_threads(1)
    random.seed(0)
    weight = torch.nn.Parameter(torch.randn(words, width) * 0.05)
    number, largest, started = 0, 0.0, time.perf_counter()
    for index in range(passes):
        tokens = random.randrange(200, 1000)
        hidden = torch.randn(tokens, width, requires_grad=True)
        with torch.autocast("cpu", torch.bfloat16):
            logprobs = chunked_logprobs(hidden.to(torch.bfloat16), weight, None, torch.randint(words, (tokens,)), 2**29)
        logprobs.sum().backward()
        number, largest = number + tokens, max(largest, resident())
        if index % 4 == 3:
            weight.grad = None
    milliseconds = 1000 * (time.perf_counter() - started) / number
    print(f"{way:<16} {milliseconds:6.2f} ms a token  {largest:6.1f} GiB between passes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=262_144)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--passes", type=int, default=16)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        one_way(arguments.way, arguments.words, arguments.width, arguments.passes)
        return
    for way in WAYS:
        subprocess.run([sys.executable, *sys.argv, "--way", way], check=True)


if __name__ == "__main__":
    main()
