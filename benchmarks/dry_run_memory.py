"""The memory that a dry run estimates for training, against what training takes.

    AFT_MODEL_DIR=FOLDER python benchmarks/dry_run_memory.py --data FOLDER       # GSM8K's files; both real models, full and LoRA
    AFT_MODEL_DIR=FOLDER python benchmarks/dry_run_memory.py --data FOLDER --models smollm2-135m-instruct --budgets 512

Each configuration trains two steps of `align` in processes of its own, on a CPU in float32 (or --precision bfloat16): twice the
same three problems with four candidates, which are as long as the reference. The memory is the most that was resident, minus what
was just before the model was loaded. In the first process every tensor has pages of its own, which are given back when it is
freed: what tensors take, and what a dry run estimates. In the second one memory is kept as aftune keeps it when it runs
(aftune.common.process), and so are the holes that freed tensors leave in the heap. Linux with glibc only.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from contender import resident

from training import print_table

GROUPS, CANDIDATES = 3, 4


def recipe(settings: dict[str, Any], run_dir: Path) -> Any:
    """An alignment recipe; GSM8K's slices are those that are trained on."""
    from aftune.recipe import Recipe

    section = {"token_budget": settings["budget"], "batch_size": GROUPS, "gradient_checkpointing": settings["checkpointing"]}
    return Recipe.model_validate(
        {
            "run_dir": str(run_dir),
            "data": settings["data"],
            "model": {"name": settings["model"], "precision": settings["precision"], "device": "cpu"},
            "adapter": {"kind": settings["kind"], "targets": "all-linear"},
            "task": {"name": "gsm8k", "train": f"train[:{GROUPS}]", "validation": "train[-1:]", "test": "test[:1]"},
            "sft": {**section, "batch_size": 1},
            "sample": {"num_candidates": CANDIDATES},
            "align": section,
        }
    )


def estimated(settings: dict[str, Any]) -> int:
    """Bytes of training, as a dry run estimates them."""
    from aftune.pipeline.estimate.memory import run_memory

    memory = run_memory(recipe(settings, Path("unused")))
    training = None if memory is None else memory.moment("training")
    assert training is not None
    return round(training.total)


def train(settings: dict[str, Any], folder: Path) -> int:
    """Trains in this process and returns the most bytes that were resident beyond what was before the model."""
    import torch
    from transformers import logging
    from transformers.trainer_callback import PrinterCallback

    from aftune.common.process import keep_freed_memory
    from aftune.pipeline.context import Context
    from aftune.pipeline.directory.run_directory import RunDirectory
    from aftune.pipeline.stages.train import training_arguments
    from aftune.prompts.encoding import EncodedGroup
    from aftune.training import AlignmentTrainer
    from aftune.training.dataset import Encoded

    if settings["kind"] != "none":
        import peft  # noqa: F401 - so that it counts as before

    logging.set_verbosity_error()
    torch.set_num_threads(settings["threads"])
    if settings["keep"]:
        keep_freed_memory()
    made = recipe(settings, folder)
    context = Context(made, RunDirectory(folder))
    groups = []
    for problem in context.task.problems("train", 0, GROUPS):
        reference = context.tokenizer(context.task.reference_response(problem))["input_ids"]
        responses, qualities = [reference] * (1 + CANDIDATES), [1.0] + [float(i % 2) for i in range(CANDIDATES)]
        in_sft = [True] + [False] * CANDIDATES
        groups.append(EncodedGroup(problem.id, context.prompter(problem), responses, in_sft, qualities))
    args = training_arguments(made.align, folder, made, validated=False)
    args.num_train_epochs, args.save_strategy = 2, "no"
    before = resident("VmRSS")
    trainer = AlignmentTrainer(context.load_trainable("base"), args, Encoded(groups, lambda group: group), context.tokenizer)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return resident("VmHWM") - before


def measured(settings: dict[str, Any], *, keep: bool) -> int:
    """The same in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(settings["threads"]), "HF_HUB_OFFLINE": "1"}
    if not keep:
        environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    command = [sys.executable, "-W", "ignore", __file__, "--one", json.dumps({**settings, "keep": keep})]
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(ended.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with GSM8K's files")
    parser.add_argument("--models", nargs="+", default=["smollm2-135m-instruct", "gemma3-270m"], help="folders in AFT_MODEL_DIR")
    parser.add_argument("--kinds", nargs="+", choices=["none", "lora", "dora"], default=["none", "lora"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[512, 2048])
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        with tempfile.TemporaryDirectory() as folder:
            print(train(json.loads(args.one), Path(folder)))
        return
    rows = []
    for model in args.models:
        for kind in args.kinds:
            for budget in args.budgets:
                settings = {
                    "model": str(Path(os.environ["AFT_MODEL_DIR"]) / model),
                    "kind": kind,
                    "budget": budget,
                    **{name: getattr(args, name) for name in ("data", "precision", "checkpointing", "threads")},
                }
                estimate = estimated(settings)
                tensors, kept = (partial(measured, settings)(keep=keep) for keep in (False, True))
                sizes = [f"{size / 2**30:.2f}" for size in (estimate, tensors, kept)]
                row = [
                    model,
                    "full" if kind == "none" else kind,
                    f"{budget:,}",
                    *sizes,
                    f"{estimate / tensors:.2f}",
                    f"{kept / tensors:.2f}",
                ]
                print(*row, file=sys.stderr, flush=True)
                rows.append(row)
    print_table(
        ["model", "training", "token_budget", "estimate GiB", "tensors GiB", "kept GiB", "estimate / tensors", "kept / tensors"],
        rows,
    )


if __name__ == "__main__":
    main()
