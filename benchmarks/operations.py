"""Where the time of a small model goes: shares of a training step, of scoring and of sampling, by kind of operation.

    aftune run quickstart run_dir=runs/quickstart model.precision=float32
    python benchmarks/operations.py runs/quickstart [--threads 2]

Trains, scores and samples with the models and groups of a finished run, with torch's profiler. Products are matrix products; their
rate is beside that of a large square one on the same threads: what they take at that rate, no arrangement of operations saves.
The profiler itself adds a little to every operation, so shares of many small ones are on the high side.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from contender import measure_matmul
from torch.profiler import ProfilerActivity, profile

from aftune.common.process import keep_freed_memory
from aftune.pipeline.context import Context, context_of
from aftune.pipeline.stages.measure import encoded_held_out
from aftune.pipeline.stages.train import _encode, training_arguments
from aftune.records import Group
from aftune.records.large_files import RecordFile
from aftune.sampling import Request, TransformersEngine
from aftune.scoring import group_logprobs
from aftune.training import AlignmentTrainer
from aftune.training.dataset import Encoded
from training import print_table

KINDS = {
    "products": ("mm", "addmm", "addmm_", "linear", "matmul"),
    "products of attention": ("bmm", "baddbmm"),
    "softmax": ("_softmax", "_softmax_backward_data", "exp_", "logsumexp"),
    "copies": ("cat", "copy_", "index_select", "index", "index_put_", "_index_put_impl_", "gather"),
}
STEPS, GROUPS, PROMPTS = 6, 200, 125


def train(context: Context, groups: list[Group], folder: Path) -> None:
    arguments = training_arguments(context.recipe.align, folder, context.recipe, validated=False)
    arguments.max_steps, arguments.save_strategy = STEPS, "no"
    encoded = Encoded(groups[: STEPS * context.recipe.align.batch_size], partial(_encode, context, arguments))
    AlignmentTrainer(
        model=context.load_trainable("sft"), args=arguments, train_dataset=encoded, processing_class=context.tokenizer
    ).train()


def score(context: Context, groups: list[Group]) -> None:
    encoded = [encoded_held_out(context, group, context.task.reference_response(group.problem)) for group in groups[:GROUPS]]
    list(group_logprobs(context.load_policy("sft", float32=True), encoded))


def sample(context: Context) -> None:
    section = context.recipe.evaluate
    problems = list(context.problems("test"))[:PROMPTS]
    requests = [Request(context.prompter(p), number, p.id) for p in problems for number in range(section.num_candidates)]
    engine = TransformersEngine(context.load_policy("sft"), context.tokenizer, section.batch_size)
    list(engine.complete(requests, context.settings(section, problems)))


def shares(work: Callable[[], Any], peak: float) -> list[str]:
    work()  # warms up
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    with profile(activities=[ProfilerActivity.CPU], with_flops=True) as found:
        work()
    events = found.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    times = {
        kind: sum(e.self_cpu_time_total for e in events if e.key.removeprefix("aten::") in names) for kind, names in KINDS.items()
    }
    plain = [event for event in events if event.key.removeprefix("aten::") in ("mm", "addmm")]
    rate = sum(event.flops for event in plain) / (sum(event.self_cpu_time_total for event in plain) / 1e6)
    rest = total - sum(times.values())
    return [f"{seconds:.2f}", *(f"{100 * value / total:.0f}" for value in (*times.values(), rest)), f"{100 * rate / peak:.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    context = context_of(arguments.run)
    labelled = list(RecordFile(arguments.run / "label" / "groups.jsonl", Group))
    held_out = list(RecordFile(arguments.run / "evaluate" / "groups.jsonl", Group))
    peak = measure_matmul(torch.float32).flops  # a second
    with tempfile.TemporaryDirectory() as folder:
        ways = {
            f"training, {STEPS} steps": partial(train, context, labelled, Path(folder)),
            f"scoring, {GROUPS} groups": partial(score, context, held_out),
            f"sampling, {PROMPTS} prompts": partial(sample, context),
        }
        rows = [[name, *shares(work, peak)] for name, work in ways.items()]
    print(f"{arguments.threads} threads; a large product: {peak / 1e9:.0f} GFLOP/s")
    print_table(
        ["work", "seconds", *(f"{kind}, %" for kind in KINDS), "the rest, %", "rate of the products, % of a large one"], rows
    )


if __name__ == "__main__":
    main()
