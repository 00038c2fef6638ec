"""Alternatives not chosen: attention of one group in several forms, and the head in several forms, forward and backward.

    python benchmarks/choices.py [--threads 2] [--rounds 7]

Forms take turns; it prints medians in milliseconds, and each as a multiple of the form that aftune uses (the first). In bfloat16
the heads have float32 weights under autocast, as in training.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, linear_cross_entropy, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

from aftune.common.process import keep_freed_memory
from aftune.models.kernels import shared_prefix
from aftune.models.kernels.chunked_head import chunked_logprobs
from aftune.models.kernels.shared_prefix import Segment

PROMPT, RESPONSES = 70, (105, 60, 180, 90, 130, 75, 95)  # tokens, as in GSM8K
HEADS, SIZE = 6, 64
HEAD_SHAPES = {"head": (735, 384, 32_000), "head of Gemma 3 270M": (512, 640, 262_144)}  # response tokens, width, words
MODULE = torch.nn.Identity()


def segments(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return shared_prefix._attention(MODULE, query, key, value, None, segments=[Segment(0, PROMPT, RESPONSES)])[0]


def segments_fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    before, shared_prefix._small_pairs = shared_prefix._small_pairs, 0
    try:
        return segments(query, key, value)
    finally:
        shared_prefix._small_pairs = before


def dense_mask(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """One mask over the whole row."""
    lengths = torch.tensor([PROMPT, *RESPONSES])
    owner = torch.arange(len(lengths)).repeat_interleave(lengths)
    position = torch.arange(len(owner))
    seen = ((owner[:, None] == owner) | (owner == 0)) & (position[:, None] >= position)
    return scaled_dot_product_attention(query, key, value, attn_mask=seen)


def padded_rows(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The prompt again for each response, padded to the longest: what trainers without shared prefixes do."""
    longest = PROMPT + max(RESPONSES)
    rows = [tensor[:, :, :longest].expand(len(RESPONSES), -1, -1, -1) for tensor in (query, key, value)]
    return scaled_dot_product_attention(*rows, is_causal=True)


def chunked(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return chunked_logprobs(hidden, weight, None, targets)


def chunked_and_kept(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return chunked_logprobs(hidden, weight, None, targets, kept_bytes=float("inf"))


def whole(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return -cross_entropy(linear(hidden, weight).float(), targets, reduction="none")


def checkpointed(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    pieces = zip(hidden.split(512), targets.split(512), strict=True)
    return torch.cat([checkpoint(whole, h, weight, t, use_reentrant=False) for h, t in pieces])


def of_torch(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=512)
    return -linear_cross_entropy(hidden, weight, targets, reduction="none", options=options)


def compare(
    title: str,
    forms: list[Callable[..., Tensor]],
    make: Callable[[], tuple[Tensor, ...]],
    rounds: int,
    autocast: torch.autocast | None = None,
) -> None:
    times: dict[str, list[float]] = {form.__name__: [] for form in forms}
    for number in range(rounds + 1):
        for form in forms:
            inputs = make()
            started = time.perf_counter()
            with autocast or nullcontext():
                summed = form(*inputs).float().sum()
            summed.backward()
            if number:  # the first round warms up
                times[form.__name__].append(1000 * (time.perf_counter() - started))
    print(f"\n{title}")
    ours = median(times[forms[0].__name__])
    for name, values in times.items():
        print(f"  {name.replace('_', ' '):<16} {median(values):8.1f} ms   x {median(values) / ours:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    for dtype in (torch.float32, torch.bfloat16):

        def attention_inputs(dtype: torch.dtype = dtype) -> tuple[Tensor, ...]:
            shape = (1, HEADS, PROMPT + sum(RESPONSES), SIZE)
            return tuple(torch.randn(shape, dtype=dtype, requires_grad=True) for _ in range(3))

        def head_inputs(
            tokens: int, width: int, words: int, dtype: torch.dtype = dtype, *, frozen: bool = False
        ) -> tuple[Tensor, ...]:
            hidden = torch.randn(tokens, width, dtype=dtype, requires_grad=True)
            weight = torch.randn(words, width).mul_(0.02)  # logits of a size that models have
            return hidden, weight.requires_grad_(not frozen), torch.randint(words, (tokens,))

        name = str(dtype).removeprefix("torch.")
        forms = [segments, segments_fused, dense_mask, padded_rows]
        compare(f"attention of one group, {name}", forms, attention_inputs, arguments.rounds)
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
        for title, shape in HEAD_SHAPES.items():
            title = f"{title}, {shape[0]} tokens of {shape[2]:,} words, {name}"
            heads = [chunked, chunked_and_kept, whole, checkpointed, of_torch]
            compare(title, heads, partial(head_inputs, *shape), arguments.rounds, autocast)
            heads = [chunked, whole, checkpointed]
            compare(f"{title}, frozen", heads, partial(head_inputs, *shape, frozen=True), arguments.rounds, autocast)


if __name__ == "__main__":
    main()
