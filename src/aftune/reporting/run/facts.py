"""What was run: task, model, the essentials of the recipe, times and versions."""

from dataclasses import dataclass
from typing import Any

from aftune.common.wording import counted, duration
from aftune.recipe import BUNDLED, AdapterSection, TrainingSection
from aftune.recipe.losses import LOSSES
from aftune.recipe.names import CONTROLS, beta_unit, control_note, kept_epoch, method_name, model_names, start_name
from aftune.reporting.formatting import MISSING, count, setting
from aftune.reporting.run.data import ReportData


@dataclass(frozen=True)
class Fact:
    name: str
    value: str


@dataclass(frozen=True)
class StageTime:
    """`share` is the share of the total time, 0 to 1."""

    name: str
    duration: str
    share: float


_CONSTRAINTS = {"none": "none", "detached": "detached (DC)", "boundary": "boundary (BC)"}


def facts(data: ReportData) -> list[Fact]:
    recipe = data.recipe
    return [
        Fact("Task", recipe.task_title),
        Fact("Model", f"{model_name(recipe.model.name)}, {recipe.model.precision}"),
        *([] if recipe.adapter.kind == "none" else [Fact("Adapter", _adapter(recipe.adapter))]),
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
    return "bundled base model" if name == BUNDLED else name


def stage_times(data: ReportData) -> list[StageTime]:
    total = total_seconds(data)
    return [
        StageTime(name, duration(entry["seconds"]), entry["seconds"] / total if total else 0.0)
        for name, entry in data.stages.items()
        if "seconds" in entry
    ]


def total_seconds(data: ReportData) -> float:
    return float(sum(entry.get("seconds", 0.0) for entry in data.stages.values()))


def _adapter(section: AdapterSection) -> str:
    targets = section.targets if isinstance(section.targets, str) else ", ".join(section.targets)
    whole = f", whole layers {', '.join(section.modules_to_save)}" if section.modules_to_save else ""
    text = f"{section.kind}, rank {section.rank}, alpha {setting(section.alpha)}, targets {targets}{whole}"
    return f"{text}, dropout {setting(section.dropout)}" if section.dropout else text


def _problems(data: ReportData) -> str:
    sizes = data.summary("prepare")
    parts = [f"{count(sizes[split])} {split}" for split in ("train", "validation", "test") if split in sizes]
    return ", ".join(parts) or MISSING


def _candidates(data: ReportData) -> str:
    recipe = data.recipe
    if recipe.candidates is not None:
        return f"imported from {recipe.candidates.path} ({recipe.candidates.format})"
    sample = recipe.sample
    text = f"k = {sample.num_candidates} a problem"
    text += "".join(f", {source.num_candidates} of {source.name}" for source in sample.sources)
    text += f", temperature {setting(sample.temperature)}"
    text += f", top-p {setting(sample.top_p)}" if sample.top_p < 1 else ""
    text += f", top-k {sample.top_k}" if sample.top_k else ""
    text += f", at most {counted(sample.max_new_tokens, 'token')}"
    return text if sample.engine.kind == "transformers" else f"{text}; sampled by {sample.engine.kind}"


def _alignment(data: ReportData) -> str:
    """Only what has an effect: the recipe also has settings of other losses and constraints."""
    align = data.recipe.align
    parts = [f"{method_name(align)}: {_loss(data) if align.alignment_weight else 'no alignment loss'}"]
    if align.sft_on == "positives":
        most = "" if align.max_positives is None else f", at most {align.max_positives} a problem"
        parts.append(f"the VFT loss is taken on the reference and the right candidates{most}")
    (start,) = model_names([start_name(data.recipe)], data.recipe)
    parts.append(f"starts from {start.phrase}")
    if align.alignment_weight:
        parts.append(f"the reference {'joins' if align.reference_is_candidate else 'does not join'} the candidates")
    return "; ".join(parts)


def _loss(data: ReportData) -> str:
    align = data.recipe.align
    parts = [f"constraint {_CONSTRAINTS[align.constraint]}"]
    if align.constraint == "boundary":
        parts.append(_beta(data))
    parts += [f"{name} {setting(getattr(align, name))}" for name in LOSSES[align.loss].options]
    if align.feedback == "ranking":
        parts.append("candidates by rank")
    if align.num_candidates is not None:
        parts.append("the first candidate" if align.num_candidates == 1 else f"the first {align.num_candidates} candidates")
    return ", ".join([*parts, f"weight {setting(align.alignment_weight)}", f"VFT weight {setting(align.sft_weight)}"])


def _beta(data: ReportData) -> str:
    """Beta in the unit of the loss; if it is automatic, with the value that it took in each round."""
    align = data.recipe.align
    unit = beta_unit(align.loss, align.rrhf_length_normalisation)
    if align.beta != "auto":
        return f"beta {setting(align.beta)} {unit}"
    rounds = [data.summary(name).get("beta") for name in data.stages if name.partition("-")[0] == "align"]
    found = [f"{value:.3g}" for value in rounds if value is not None]
    values = f" = {', then '.join(found)} {unit}" if found else ""
    return f"beta auto{values} ({setting(100 * align.auto_beta_push)} % of the push stays)"


def _training(section: TrainingSection, summary: Any) -> str:
    text = f"learning rate {setting(section.learning_rate)} ({section.lr_schedule.replace('_', ' ')}), batch {section.batch_size}"
    if "optimizer_steps" not in summary:
        return f"{text}, at most {counted(section.num_epochs, 'epoch')}"
    text += f", {counted(float(summary['epochs']), 'epoch')}, {counted(summary['optimizer_steps'], 'optimizer step')}"
    return f"{text}; epoch {summary['best_epoch']} kept" if "best_epoch" in summary else text


def _control(data: ReportData) -> str:
    if not data.recipe.control.enabled:
        return "none"
    control, steps = CONTROLS[data.recipe.control.match], data.summary("control").get("optimizer_steps")
    meaning = control.meaning.format(method=method_name(data.recipe.align))
    return f"{control.label}: {meaning}" + (f" ({counted(steps, 'optimizer step')})" if steps is not None else "")


def models_note(data: ReportData) -> str:
    """What the model names in the tables mean."""
    kept = f"VFT is {kept_epoch(data.recipe)}" if "best_epoch" in data.summary("sft") else "VFT is its last epoch"
    known = CONTROLS[data.recipe.control.match].key in data.metrics["results"]
    return f"{kept}{f'; {control_note(data.recipe)}' if known else ''}."


def _date(data: ReportData) -> str:
    """When the last stage ended, from the manifest: a page that is made again says the same."""
    moments = [entry["finished"] for entry in data.stages.values() if "finished" in entry]
    return max(moments).replace("T", " ")[:16] if moments else MISSING


def _machine(data: ReportData) -> str:
    machine = data.machine
    if not machine:
        return MISSING
    cores = "1 CPU core" if machine.get("cpus") == 1 else f"{machine.get('cpus', '?')} CPU cores"
    return f"{cores}, Python {machine.get('python', '?')}, {machine.get('platform', '?')}"
