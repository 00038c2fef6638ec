"""The methods that `aftune compare` knows: names for settings of `align`, and the controls."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from aftune.common.errors import UsageError
from aftune.common.yaml_text import parse_yaml
from aftune.pipeline.registry import ALIGN, CONTROL, MEASURE, REFERENCE, RL, Stage, needs_reference, round_stages
from aftune.recipe import AlignSection, Recipe, RlSection, with_settings
from aftune.recipe.losses import LOSSES
from aftune.recipe.names import CONTROLS, SUFFIXES, VFT, method_name, rl_name

_CONSTRAINTS = {
    "detached": "with wrong candidates left alone (detached constraint)",
    "boundary": "with wrong candidates pushed down to a floor, no further (boundary constraint)",
}


@dataclass(frozen=True)
class Method:
    """name: as the user wrote it. title: for tables. trains: the stage that makes its model; None for the VFT model itself.
    settings: what the method changes in the recipe, by `section.key`. varied: the settings that were written after the name."""

    name: str
    title: str
    trains: Stage | None = ALIGN
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: Mapping[str, Any] = field(default_factory=dict)

    def stages(self, recipe: Recipe) -> list[Stage]:
        """The stages of its run beyond the shared ones. recipe: the method's own."""
        if self.trains is not ALIGN:
            return [stage for stage in (self.trains, MEASURE) if stage is not None]
        later = [stage for number in range(2, recipe.rounds + 1) for stage in round_stages(recipe, number)]
        # The shared stage uses the model that the common recipe starts from.
        reference = [REFERENCE] if "align.start" in self.varied and needs_reference(recipe) else []
        measured = replace(MEASURE, reads=(*MEASURE.reads, *(stage.name for stage in later if stage.kind == ALIGN.kind)))
        return [*reference, ALIGN, *later, measured]

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return folder_name(self.name)

    @property
    def meaning(self) -> str:
        """What it does, in a line."""
        if self.trains is None:
            return "the VFT model that all others start from"
        if self.trains is CONTROL:
            return CONTROLS[self.settings["control.match"]].meaning.format(method="alignment")
        if self.trains is RL:
            return "online RL on as many sampled responses (pip install 'aftune[trl]')"
        if self.name == "rpo":
            return "DPO and the likelihood of right candidates"
        if "align.loss" not in self.settings:
            return "VFT on references and right candidates, without those that reason alike"
        return _CONSTRAINTS.get(self.settings["align.constraint"], LOSSES[self.settings["align.loss"]].gist)

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe of this method's run; raises UsageError for a setting that does not fit."""
        return with_settings(recipe, {**self.settings, **self.varied}, f"method {self.name}")


def _scales(loss: str, constraint: str) -> dict[str, Any]:
    """Settings that a recipe has for AFT and that are out of scale for another loss: a beta in nats per token, for a loss whose
    boundary is in nats of whole responses, and the weight of SPPO, whose push begins at 200 times DPO's."""
    scales: dict[str, Any] = {"beta": "auto"} if LOSSES[loss].needs_reference and constraint == "boundary" else {}
    return scales | ({"alignment_weight": 0.005} if loss == "sppo" else {})


def _methods() -> dict[str, Method]:
    methods = [
        Method("vft", VFT, None),
        Method("vft-steps", CONTROLS["steps"].label, CONTROL, {"control.match": "steps"}),
        Method("vft-compute", CONTROLS["compute"].label, CONTROL, {"control.match": "compute"}),
        _aligning("rft", alignment_weight=0.0, sft_on="positives"),
    ]
    for loss, facts in LOSSES.items():
        for constraint in facts.constraints:
            name = loss.replace("_", "-") + SUFFIXES[constraint].lower()
            methods.append(_aligning(name, loss=loss, constraint=constraint, **_scales(loss, constraint)))
    methods.append(_aligning("rpo", loss="dpo", constraint="none", sft_on="positives"))
    methods += [Method(name, rl_name(name), RL, {"rl.algorithm": name}) for name in ("grpo", "rloo")]
    return {method.name: method for method in methods}


def _aligning(name: str, **settings: Any) -> Method:
    return Method(name, method_name(AlignSection(**settings)), ALIGN, {f"align.{key}": value for key, value in settings.items()})


def folder_name(method: str) -> str:
    """The name of the folder of a method, by its own: `aft-bc,beta=0.3`, since file systems have their own uses for colons."""
    return method.replace(":", ",")


def name_of_folder(folder: str) -> str:
    """The name of the method whose folder is called so."""
    return folder.replace(",", ":")


METHODS = _methods()
_KEYS = {"k": "align.num_candidates", "rounds": "rounds"} | {key: f"align.{key}" for key in AlignSection.model_fields}
_RL_KEYS = {"rounds": "rounds"} | {key: f"rl.{key}" for key in RlSection.model_fields if key != "algorithm"}


def parse(text: str) -> Method:
    """A method from its name, with settings of `align` after colons: `aft-bc`, `aft-bc:beta=0.3:k=4`; those of grpo and rloo are
    settings of `rl`.

    Raises UsageError for an unknown name or setting, with the nearest one.
    """
    name, *settings = text.strip().split(":")
    unbound = name.removesuffix(SUFFIXES["boundary"].lower())
    if name not in METHODS and unbound in METHODS:
        raise UsageError(f"compare: there is no method {name!r}: {unbound} takes no boundary; take {unbound} or another loss")
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UsageError(f"compare: there is no method {name!r}{hint} There are {', '.join(METHODS)}")
    base = METHODS[name]
    keys = _RL_KEYS if base.trains is RL else _KEYS
    varied: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {near[0]!r}? " if near and near[0] != key else ""
            raise UsageError(
                f"compare: {setting!r} in {text!r} is not a setting; {hint}write key=value with one of {', '.join(keys)}"
            )
        if base.trains is None:
            raise UsageError(f"compare: {name} is the VFT model as it is and takes no settings; remove {setting!r}")
        if keys[key] in ("align.loss", "align.constraint"):
            raise UsageError(f"compare: {setting!r} in {text!r}: a method's name says its loss and constraint; take another name")
        if keys[key] in varied:
            raise UsageError(f"compare: {text!r} sets {keys[key]} twice; remove one")
        try:
            varied[keys[key]] = parse_yaml(value)
        except yaml.YAMLError as error:
            raise UsageError(f"compare: {setting!r} in {text!r}: the value is not valid YAML; correct it") from error
    title = ", ".join([base.title, *(_words(key, value) for key, value in varied.items())])
    return Method(text.strip(), title, base.trains, base.settings, varied)


def _words(key: str, value: object) -> str:
    key = key.rpartition(".")[2]
    if key == "feedback":
        return str(value)
    if (key, value) == ("sft_on", "positives"):
        return f"{VFT} on right samples too"
    named = {"num_candidates": "k", "dpo_beta": "DPO’s beta", "sft_weight": f"weight of {VFT}"}
    return f"{named.get(key, key.replace('_', ' '))} {value}"
