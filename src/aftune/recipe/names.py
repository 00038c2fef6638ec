"""What models, methods and units are called, in the terminal, on pages and in tables alike."""

from collections.abc import Iterable
from dataclasses import dataclass

from aftune.recipe import AlignSection, Recipe
from aftune.recipe.losses import LOSSES

VFT = "VFT"
SUFFIXES = {"none": "", "detached": "-DC", "boundary": "-BC"}


@dataclass(frozen=True)
class ControlName:
    """The control: VFT, continued. `key` is its name in metrics.json; `label` is for tables, `phrase` for sentences, `short` and
    `meaning` explain it below a table (`{method}` is the aligned model)."""

    key: str
    label: str
    phrase: str
    short: str
    meaning: str


CONTROLS = {
    "steps": ControlName(
        "vft_same_steps",
        "VFT, same steps",
        "“VFT, same steps”",
        "same steps",
        "VFT continued for as many optimizer steps as {method} takes",
    ),
    "compute": ControlName(
        "vft_same_compute",
        "VFT, same compute",
        "“VFT, same compute”",
        "same compute",
        "VFT continued for as many trained tokens as {method} takes",
    ),
}


# The methods that all others in a comparison are compared with, if they are part of it; the words are for sentences.
BASELINES = {
    "vft": VFT,
    "vft-steps": CONTROLS["steps"].phrase,
    "vft-compute": CONTROLS["compute"].phrase,
}


@dataclass(frozen=True)
class ModelName:
    """A model of a run: `key` is for metrics.json, `label` for tables and plots, `phrase` for sentences; `look` is its colour."""

    key: str
    label: str
    phrase: str
    look: str


def method_name(align: AlignSection) -> str:
    """What `align` is called, by what it does: `AFT-BC`, `DPO`; `RFT` and continued VFT have no alignment loss. RPO is DPO and the
    likelihood of right samples."""
    on_positives = align.sft_on == "positives" and align.sft_weight > 0
    if align.alignment_weight and on_positives and (align.loss, align.constraint) == ("dpo", "none"):
        return "RPO"
    if align.alignment_weight:
        return LOSSES[align.loss].title + SUFFIXES[align.constraint]
    return "RFT" if align.sft_on == "positives" else f"{VFT}, continued"


def rl_name(algorithm: str) -> str:
    """What a model is called that was trained by reinforcement learning: `GRPO`."""
    return algorithm.upper()


def model_names(keys: Iterable[str], recipe: Recipe) -> list[ModelName]:
    """The names of some models of a run, in the order of training; unknown ones come last, under their keys."""
    wanted = list(keys)
    known = _known(recipe)
    order = {name.key: place for place, name in enumerate(known)}
    named = {name.key: name for name in known}
    found = [named.get(key, ModelName(key, key, key, key)) for key in wanted]
    return sorted(found, key=lambda name: order.get(name.key, len(order)))


def _known(recipe: Recipe) -> list[ModelName]:
    method = method_name(recipe.align)
    control = CONTROLS[recipe.control.match]
    rounds = range(1, recipe.rounds)
    return [
        ModelName("base", "base", "the base model", "base"),
        ModelName("vft", VFT, VFT, "vft"),
        ModelName(control.key, control.label, control.phrase, "control"),
        *(ModelName(f"aligned_round_{n}", f"{method}, round {n}", f"“{method}, round {n}”", "round") for n in rounds),
        ModelName("aligned", method, method, "aligned"),
    ]


def control_note(recipe: Recipe) -> str:
    """What the control's name means: `“same steps” is VFT continued for as many optimizer steps as AFT-BC takes`."""
    control = CONTROLS[recipe.control.match]
    return f"“{control.short}” is {control.meaning.format(method=method_name(recipe.align))}"


def kept_epoch(recipe: Recipe) -> str:
    """Which epoch of VFT is kept, for notes."""
    return (
        "the epoch with the best validation accuracy"
        if recipe.sft.keep == "accuracy"
        else "the epoch with the lowest validation loss"
    )


def start_name(recipe: Recipe) -> str:
    """The key of the model that alignment starts from."""
    return "base" if recipe.align.start == "base" else "vft"


def beta_unit(loss: str, rrhf_length_normalisation: str = "response") -> str:
    """The unit of the boundary's beta: the unit of what the loss compares."""
    if LOSSES[loss].needs_reference:
        return "nats"
    return "nats per token of the padded row" if loss == "rrhf" and rrhf_length_normalisation == "padded" else "nats per token"
