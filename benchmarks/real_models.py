"""Real language models through all stages: time and memory beside the dry run's, figures, and scores beside a plain forward pass.

    AFT_MODEL_DIR=FOLDER python benchmarks/real_models.py --data FOLDER        # every model, task and kind of training
    AFT_MODEL_DIR=FOLDER python benchmarks/real_models.py --data FOLDER --models gemma3-270m --tasks ecqa --kinds lora

AFT_MODEL_DIR has folders of models; --data has `gsm8k/`, `ecqa/` and `commonsenseqa/`. Slices are small: this shows
that everything works and what it takes, not how good a model can get. Everything is computed in float32. Runs that are finished
are only read. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import print_table

TASKS: dict[str, dict[str, Any]] = {
    "gsm8k": {"data": "gsm8k", "task.train": "train[:16]", "task.validation": "train[-4:]", "task.test": "test[:6]", "tokens": 96},
    "ecqa": {"data": "", "task.train": "train[:16]", "task.validation": "validation[:4]", "task.test": "test[:6]", "tokens": 48},
}
KINDS = {
    "full": {"adapter.kind": "none", "rate": 2e-5},
    "lora": {"adapter.kind": "lora", "adapter.targets": "all-linear", "rate": 2e-4},
}
CHAT = ("instruct",)  # models whose name has this are asked with their chat template


@dataclass(frozen=True)
class Case:
    """A run: a model's folder, a task and how it is trained."""

    model: Path
    task: str
    kind: str
    data: Path
    folder: Path

    @property
    def run_dir(self) -> Path:
        return self.folder / f"{self.model.name}-{self.task}-{self.kind}"

    def settings(self) -> dict[str, Any]:
        task, kind = dict(TASKS[self.task]), dict(KINDS[self.kind])
        tokens, rate = task.pop("tokens"), kind.pop("rate")
        return {
            "run_dir": self.run_dir,
            "data": self.data / task.pop("data"),
            "model.name": self.model,
            "model.precision": "float32",
            "task.name": self.task,
            "prompt.style": "chat" if any(word in self.model.name for word in CHAT) else "plain",
            **task,
            **kind,
            **{f"{stage}.learning_rate": rate for stage in ("sft", "align")},
            **{f"{stage}.num_epochs": 1 for stage in ("sft", "align")},
            **{f"{stage}.batch_size": 8 for stage in ("sft", "align")},
            **{f"{stage}.token_budget": 1024 for stage in ("sft", "align")},
            **{f"{stage}.num_candidates": 4 for stage in ("sample", "evaluate")},
            **{f"{stage}.max_new_tokens": tokens for stage in ("sample", "evaluate")},
        }

    def recipe(self) -> Path:
        """Writes the recipe beside the run."""
        from aftune.recipe import Recipe

        sections: dict[str, Any] = {}
        for key, value in self.settings().items():
            section, _, name = key.rpartition(".")
            target = sections.setdefault(section, {}) if section else sections
            target[name] = str(value) if isinstance(value, Path) else value
        path = self.folder / f"{self.run_dir.name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Recipe.model_validate(sections).to_yaml())
        return path


def run(case: Case) -> None:
    """Runs all stages as a user would."""
    command = [sys.executable, "-m", "aftune", "run", str(case.recipe())]
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
        raise SystemExit(f"{case.run_dir.name}: aftune run failed")


def largest_difference(case: Case) -> float:
    """Between a score that `evaluate` wrote for the aligned model and the mean log-probability by a plain forward pass of
    transformers over prompt and response alone, over all held-out candidates: nats per token."""
    import torch

    from aftune.pipeline.context import Context
    from aftune.pipeline.directory.run_directory import RunDirectory
    from aftune.pipeline.stages.measure import encoded_held_out
    from aftune.recipe import load_recipe
    from aftune.records import Group, GroupScores, read_records

    context = Context(load_recipe(case.recipe(), []), RunDirectory(case.run_dir))
    model = context.load_policy("align", float32=True)
    evaluated = context.folder("evaluate")
    groups = read_records(evaluated / "groups.jsonl", Group)
    scored = {item.problem_id: item.scores for item in read_records(evaluated / "aligned" / "scores.jsonl", GroupScores)}
    worst = 0.0
    for group in groups:
        encoded = encoded_held_out(context, group, None)
        for response, score in zip(encoded.response_ids, scored[group.problem.id], strict=True):
            ids = torch.tensor([encoded.prompt_ids + response])
            with torch.no_grad():
                logprobs = model(input_ids=ids, use_cache=False).logits[0, len(encoded.prompt_ids) - 1 : -1].log_softmax(-1)
            plain = logprobs.gather(1, torch.tensor(response)[:, None]).mean()
            worst = max(worst, abs(float(plain) - score))
    return worst


def facts(case: Case) -> list[str]:
    """A line of the table of costs. Memory is the most that the process had taken when training ended."""
    from aftune.pipeline.estimate.cost import estimate
    from aftune.pipeline.estimate.speed import duration, measured_speed
    from aftune.recipe import load_recipe

    recipe = load_recipe(case.recipe(), [])
    stages = json.loads((case.run_dir / "manifest.json").read_text())["stages"]
    seconds = {name: entry["seconds"] for name, entry in stages.items()}
    expected = duration(estimate(recipe), recipe, measured_speed(recipe))
    foreseen = f"{expected.low / 60:.0f} to {expected.high / 60:.0f}" if expected else "?"
    logs = [json.loads((case.run_dir / stage / "log.json").read_text()) for stage in ("sft", "align")]
    trained = max(entry["peak_memory_gib"] for log in logs for entry in log if "peak_memory_gib" in entry)
    return [
        case.model.name,
        case.task,
        case.kind,
        f"{sum(seconds.values()) / 60:.1f}",
        foreseen,
        *(f"{seconds[stage]:.0f}" for stage in ("sft", "sample", "align", "evaluate")),
        f"{trained:.2f}",
        f"{foreseen_memory(recipe) / 2**30:.2f}",
    ]


def foreseen_memory(recipe: Any) -> float:
    """Bytes of training, as a dry run estimates them; Python and torch come on top."""
    from aftune.pipeline.estimate.memory import run_memory

    memory = run_memory(recipe)
    training = None if memory is None else memory.moment("training")
    return 0.0 if training is None else float(training.total)


def figures(case: Case) -> list[str]:
    """A line of the table of figures."""
    results = json.loads((case.run_dir / "metrics.json").read_text())["results"]
    cells = [
        f"{results[name]['reference_perplexity']:.3f}" if results[name].get("reference_perplexity") else "-"
        for name in ("base", "vft", "aligned")
    ]
    return [case.model.name, case.task, case.kind, *cells, f"{largest_difference(case):.1e}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs/real-models"), help="where the runs are")
    parser.add_argument("--models", nargs="+", default=["smollm2-135m-instruct", "gemma3-270m"])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    args = parser.parse_args()
    if not (models := os.environ.get("AFT_MODEL_DIR")):
        parser.error("AFT_MODEL_DIR is not set: it is a folder with folders of models")
    cases = [
        Case(Path(models) / model, task, kind, args.data, args.folder)
        for model in args.models
        for task in args.tasks
        for kind in args.kinds
    ]
    for case in cases:
        run(case)
    print_table(
        [
            "model",
            "task",
            "training",
            "minutes",
            "foreseen",
            "sft,s",
            "sample,s",
            "align,s",
            "evaluate,s",
            "training,GiB",
            "foreseen,GiB",
        ],
        [facts(case) for case in cases],
    )
    print("\nPerplexity of the references, and the largest difference of a score from a plain forward pass, nats per token")
    print_table(["model", "task", "training", "base", "VFT", "AFT-BC", "difference"], [figures(case) for case in cases])


if __name__ == "__main__":
    main()
