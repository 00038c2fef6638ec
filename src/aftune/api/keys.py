"""The keyword arguments that stand for keys of a recipe: their types, which a test compares with the recipe's sections.

Defaults and what a key means are those of the section, and of nowhere else: `with_keys_of` shows them in a function's signature.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict, TypeVar, get_type_hints

from pydantic import ValidationError

from aftune.common.errors import UsageError
from aftune.common.validation_errors import explain
from aftune.recipe import EngineSection, Section, SourceSection

Function = TypeVar("Function", bound=Callable[..., Any])
AnySection = TypeVar("AnySection", bound=Section)


class SamplingKeys(TypedDict, total=False):
    """Of `SamplingSection`."""

    temperature: float
    top_p: float
    top_k: int
    max_new_tokens: int
    stop: Literal["auto"] | list[str]
    batch_size: int
    engine: EngineSection | Mapping[str, Any] | str


class SampleKeys(SamplingKeys, total=False):
    """Of `SampleSection`."""

    num_candidates: int
    sources: list[SourceSection] | list[Mapping[str, Any]]


class LabelKeys(TypedDict, total=False):
    """Of `LabelSection`."""

    reading: Literal["strict", "flexible"]


class EvaluateKeys(SamplingKeys, total=False):
    """Of `EvaluateSection`, without the candidates of assessment."""

    num_votes: int


class TrainingKeys(TypedDict, total=False):
    """Of `TrainingSection`."""

    learning_rate: float
    lr_schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"]
    warmup_fraction: float
    num_epochs: float
    batch_size: int
    token_budget: int
    kept_logits_gib: float
    optimizer: str
    weight_decay: float
    max_grad_norm: float
    gradient_checkpointing: bool


class SftKeys(TrainingKeys, total=False):
    """Of `SftSection`."""

    keep: Literal["accuracy", "loss"]
    patience: int | None


class AlignKeys(TrainingKeys, total=False):
    """Of `AlignSection`, without the model that training starts from."""

    loss: Literal["aft", "rrhf", "pro", "dpo", "simpo", "ipo", "dpop", "minor_dpo", "bdpo", "sppo", "nca", "infonca", "apo_zero"]
    constraint: Literal["none", "detached", "boundary"]
    beta: float | Literal["auto"]
    auto_beta_push: float
    detach_boundary: bool
    dpo_beta: float
    rrhf_length_normalisation: Literal["response", "padded"]
    pro_eps: float
    simpo_beta: float
    simpo_gamma: float
    ipo_beta: float
    dpop_lambda: float
    bdpo_lambda: float
    nca_alpha: float
    feedback: Literal["task", "binary", "ranking"]
    num_candidates: int | None
    alignment_weight: float
    sft_weight: float
    sft_on: Literal["reference", "positives"]
    max_positives: int | None
    sft_reduction: Literal["token_mean", "token_sum"]
    reference_is_candidate: bool
    validation_groups: int


def with_keys_of(section: type[Section], without: Mapping[str, str] | None = None) -> Callable[[Function], Function]:
    """Makes the signature of a function that takes `**keys` show the keys of a section with their defaults. without: keys that the
    function does not take, and why."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        types = get_type_hints(section)
        keys = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.get_default(call_default_factory=True),
                annotation=types[name],
            )
            for name, field in section.model_fields.items()
            if name not in (without or {})
        ]
        function.__signature__ = signature.replace(parameters=[*own, *keys])  # type: ignore[attr-defined]
        return function

    return decorate


def section_of(
    kind: type[AnySection], values: Mapping[str, Any], place: str, prefix: str = "", without: Mapping[str, str] | None = None
) -> AnySection:
    """A section from keyword arguments, or from a dictionary that is one argument, with its dot as `prefix`. Raises UsageError that
    starts with `place` and names the argument."""
    for key in values.keys() & (without or {}).keys():
        raise UsageError(f"{place}: there is no {key!r} here: {(without or {})[key]}")
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        raise UsageError(explain(error, kind, place, prefix)) from error


def values_of(given: Mapping[str, Any] | Section) -> Mapping[str, Any]:
    """The keys that were given."""
    return given.model_dump(exclude_unset=True) if isinstance(given, Section) else given
