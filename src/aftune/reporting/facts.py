"""What was run: task, model, the essentials of the recipe, times and versions."""

from dataclasses import dataclass
from typing import Any

from aftune.recipe import TrainingSection
from aftune.reporting.data import ReportData
from aftune.reporting.formatting import MISSING, count, duration, setting


@dataclass(frozen=True)
class Fact:
    name: str
    value: str


@dataclass(frozen=True)
class StageTime:
    """`share` is of the total time, 0 to 1."""

    name: str
    duration: str
    share: float


_CONSTRAINTS = {"none": "none", "detached": "detached (DC)", "boundary": "boundary (BC)"}


def facts(data: ReportData) -> list[Fact]:
    recipe = data.recipe
    return [
        Fact("Task", recipe.task.title),
        Fact("Model", f"{model_name(recipe.model.name)}, {recipe.model.precision}"),
        Fact("Problems", _problems(data)),
        Fact("Candidates", _candidates(data)),
        Fact("Alignment", _alignment(data)),
        Fact("VFT training", _training(recipe.sft, data.summary("sft"))),
        Fact("Alignment training", _training(recipe.align, data.summary("align"))),
        Fact("Control", _control(data)),
        Fact(
            "Held-out candidates", f"{recipe.evaluate.num_candidates} a problem from VFT" if not recipe.candidates else "imported"
        ),
        Fact("Seed", str(recipe.seed)),
        Fact("Date", _date(data)),
        Fact("Total time", duration(total_seconds(data))),
        Fact("Versions", ", ".join(f"{name} {version}" for name, version in data.versions.items()) or MISSING),
        Fact("Machine", _machine(data)),
    ]


def model_name(name: str) -> str:
    """What the pages call the recipe's model."""
    return "bundled base model" if name == "bundled" else name


def stage_times(data: ReportData) -> list[StageTime]:
    total = total_seconds(data)
    return [
        StageTime(name, duration(entry["seconds"]), entry["seconds"] / total if total else 0.0)
        for name, entry in data.stages.items()
        if "seconds" in entry
    ]


def total_seconds(data: ReportData) -> float:
    return float(sum(entry.get("seconds", 0.0) for entry in data.stages.values()))


def _problems(data: ReportData) -> str:
    sizes = data.summary("prepare")
    parts = [f"{count(sizes[split])} {split}" for split in ("train", "validation", "test") if split in sizes]
    return ", ".join(parts) or MISSING


def _candidates(data: ReportData) -> str:
    recipe = data.recipe
    if recipe.candidates is not None:
        return f"imported from {recipe.candidates.path} ({recipe.candidates.format})"
    sample = recipe.sample
    text = f"k = {sample.num_candidates} a problem, temperature {setting(sample.temperature)}"
    text += f", top-p {setting(sample.top_p)}" if sample.top_p < 1 else ""
    text += f", top-k {sample.top_k}" if sample.top_k else ""
    return f"{text}, at most {sample.max_new_tokens} tokens"


def _alignment(data: ReportData) -> str:
    align = data.recipe.align
    text = f"constraint {_CONSTRAINTS[align.constraint]}"
    text += f", beta {setting(align.beta)} nats per token" if align.constraint == "boundary" else ""
    text += f", weight {setting(align.alignment_weight)}, VFT weight {setting(align.sft_weight)}"
    start = "VFT" if align.start == "vft" else "the base model"
    reference = "joins" if align.reference_is_candidate else "does not join"
    return f"{text}; starts from {start}; the reference {reference} the candidates"


def _training(section: TrainingSection, summary: Any) -> str:
    text = f"learning rate {setting(section.learning_rate)} ({section.lr_schedule.replace('_', ' ')}), batch {section.batch_size}"
    if "optimizer_steps" not in summary:
        return f"{text}, at most {setting(section.num_epochs)} epochs"
    text += f", {setting(float(summary['epochs']))} epochs, {count(summary['optimizer_steps'])} optimizer steps"
    return f"{text}; epoch {summary['best_epoch']} kept" if "best_epoch" in summary else text


def _control(data: ReportData) -> str:
    if not data.recipe.control.enabled:
        return "none"
    steps = data.summary("control").get("optimizer_steps")
    return "VFT goes on for as many optimizer steps as alignment takes" + (f" ({count(steps)})" if steps is not None else "")


def _date(data: ReportData) -> str:
    """The day that the last stage ended, from the manifest: a page that is made again says the same."""
    moments = [entry["finished"] for entry in data.stages.values() if "finished" in entry]
    return max(moments).replace("T", " ")[:16] if moments else MISSING


def _machine(data: ReportData) -> str:
    machine = data.machine
    if not machine:
        return MISSING
    return f"{machine.get('cpus', '?')} CPU cores, Python {machine.get('python', '?')}, {machine.get('platform', '?')}"
