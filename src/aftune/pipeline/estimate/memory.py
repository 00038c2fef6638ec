"""The memory of a run on each of its devices: by part, at its fullest moments.

Training holds weights, gradients, optimizer state and what a pass keeps (aftune.pipeline.estimate.tracing counts it); sampling
holds weights, the keys and values of all rows and their logits; `evaluate` computes scores with float32 weights.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import torch

from aftune.models.kernels.chunked_head import chunk_tokens
from aftune.pipeline.estimate.rows import TrainingRows, training_rows
from aftune.pipeline.estimate.sizes import Sizes
from aftune.pipeline.estimate.tracing import pass_memory
from aftune.pipeline.estimate.weights import WEIGHT_BYTES, Weights, count_weights, in_full, model_config, named_size, state_bytes
from aftune.recipe import AdapterSection, Recipe, SamplingSection
from aftune.sampling.transformers.cache import SPARE, STEP
from aftune.sampling.transformers.decoding import PREFILL_TOKENS

PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "KV cache")
Found = TypeVar("Found")
_SCORING_TOKENS = 4096  # of a forward pass that computes scores
_GATHERED = 2  # layers that a process holds whole at a time under fsdp: the one that it computes, and the next


@dataclass(frozen=True)
class Moment:
    """What a device holds at one of the fullest moments, in bytes by part; of None it is not known how much it is."""

    name: str
    parts: dict[str, float | None]

    @property
    def total(self) -> float:
        """Of what is known."""
        return sum(size or 0.0 for size in self.parts.values())


@dataclass(frozen=True)
class RunMemory:
    """The moments of a run; `rows`: what its stages train on; `stand_in`: whether the model is not here and a similar one is
    counted."""

    moments: list[Moment]
    rows: list[TrainingRows]
    weights: Weights
    stand_in: bool

    @property
    def peak(self) -> float:
        return max(moment.total for moment in self.moments)

    def moment(self, name: str) -> Moment | None:
        """That of this name; None for `sampling` where candidates are imported."""
        return next((moment for moment in self.moments if moment.name == name), None)


def run_memory(recipe: Recipe, *, num_processes: int = 1, gpu: bool = False) -> RunMemory | None:
    """The memory of one of the processes, or None where neither the model's configuration is here nor its name tells its size.

    recipe: with its precision settled. gpu: whether it computes on a GPU. Raises UsageError for an adapter that does not fit the
    model.
    """
    found = model_config(recipe)
    if found is None:
        return None
    config, own = found
    weights = _once(count_weights, config, recipe.adapter)
    size = named_size(recipe.model.name)
    if not own and size is not None:
        factor = size / weights.total
        weights = replace(weights, total=size, linear=weights.linear * factor, products=weights.products * factor)
    sizes = Sizes.of(recipe)
    rows = training_rows(recipe, sizes, num_processes)
    moments = list(_Moments(recipe, config, weights, sizes, num_processes, gpu).all(rows))
    return RunMemory(moments, rows, weights, stand_in=not own)


@dataclass(frozen=True)
class _Moments:
    recipe: Recipe
    config: Any
    weights: Weights
    sizes: Sizes
    num_processes: int
    gpu: bool

    def all(self, rows: list[TrainingRows]) -> Iterator[Moment]:
        yield max((self.training(row) for row in _fullest(rows)), key=lambda moment: moment.total)
        recipe, validation = self.recipe, self.sizes.validation
        trained = self.trained_dtype if self.adapter is None else self.precision
        held = {"weights": self.model(trained), "optimizer": self.state()[2]}
        yield self.decoding("validation", recipe.evaluate, validation, trained, held)
        weights = {"weights": self.model(self.precision)}
        if recipe.candidates is None:
            yield self.decoding("sampling", recipe.sample, self.sizes.train * self.sizes.k, self.precision, weights)
        number = self.sizes.test * max(1, self.sizes.k_test if recipe.candidates is None else 1, recipe.evaluate.num_votes)
        yield self.decoding("evaluation", recipe.evaluate, number, self.precision, weights)
        yield self.scoring()

    @property
    def adapter(self) -> AdapterSection | None:
        return None if self.recipe.adapter.kind == "none" else self.recipe.adapter

    @property
    def num_trained(self) -> float:
        return self.weights.adapted if self.adapter else self.weights.total

    @property
    def four_bit(self) -> bool:
        return self.recipe.adapter.kind == "qlora"

    @property
    def precision(self) -> str:
        return "bfloat16" if self.recipe.model.precision == "bfloat16" else "float32"

    @property
    def trained_dtype(self) -> str:
        """The type of the weights in full fine-tuning; those of an adapter are float32."""
        return "float32" if self.adapter else self.recipe.model.weights

    def model(self, dtype: str) -> float:
        """Bytes of the whole model; of one with an adapter, as it is trained."""
        return self.weights.size(dtype, four_bit=self.four_bit) + WEIGHT_BYTES["float32"] * self.weights.adapted

    def state(self) -> tuple[float, float, float]:
        """Bytes of weights, of one set of gradients, and of the optimizer, as a process holds them in training."""
        number, size = self.num_trained, WEIGHT_BYTES[self.trained_dtype]
        weights = self.model(self.precision if self.adapter else self.trained_dtype)
        gradients, optimizer = size * number, number * state_bytes(self.recipe.align.optimizer)
        launch, processes = self.recipe.launch, self.num_processes
        if launch.sharding == "none" or processes == 1:
            return weights, gradients, optimizer
        if launch.sharding == "zero2":
            if self.precision == "bfloat16" and not self.adapter:
                # DeepSpeed then computes with bfloat16 weights, and has float32 ones beside the optimizer's state.
                weights, gradients, optimizer = weights / 2, gradients / 2, optimizer + weights
            return weights, gradients / processes, 0.0 if launch.offload else optimizer / processes
        layers = _GATHERED * WEIGHT_BYTES[self.precision] * self.weights.layer
        if launch.offload:
            return layers, 0.0, 0.0
        return weights / processes + layers, gradients / processes, optimizer / processes

    def training(self, row: TrainingRows) -> Moment:
        weights, gradients, optimizer = self.state()
        half = self.precision == "bfloat16"
        dtype = self.precision if self.adapter else self.trained_dtype
        adapter = in_full(self.adapter) if self.adapter else None
        options = {"half": half, "checkpointing": row.checkpointing, "gpu": self.gpu}
        held = _once(pass_memory, self.config, adapter, row.shape, getattr(torch, dtype), row.kept_bytes, **options)
        sets = row.shape.gradients if held is None else held.gradients / (WEIGHT_BYTES[self.trained_dtype] * self.num_trained)
        if self.num_processes > 1 and self.recipe.launch.sharding == "none":
            sets += 1  # DDP has its own
        parts: dict[str, float | None] = {"weights": weights, "gradients": sets * gradients, "optimizer": optimizer}
        if held is None:
            return Moment("training", parts | {"activations": None, "logits": None})
        unpacked = WEIGHT_BYTES[self.precision] * self.weights.largest if self.four_bit else 0.0
        return Moment("training", parts | {"activations": held.activations + unpacked, "logits": held.logits})

    def decoding(self, name: str, section: SamplingSection, number: int, dtype: str, held: dict[str, float]) -> Moment:
        """Of so many responses, as many at a time as the recipe says."""
        text = self.config.get_text_config(decoder=True)
        size, lengths = WEIGHT_BYTES[dtype], self.sizes.lengths
        rows = max(1, min(section.batch_size, number // self.num_processes))
        cache = rows * (lengths.longest[0] + section.max_new_tokens + SPARE + STEP) * self.weights.cached * size
        # Attention repeats the keys and values of a layer for all heads.
        repeats = text.num_attention_heads / (getattr(text, "num_key_value_heads", None) or text.num_attention_heads)
        attention = cache / self.weights.num_layers * repeats
        prompts = min(PREFILL_TOKENS, rows * lengths.longest[0])
        prefill = self._wide(prompts) * size
        logits = rows * text.vocab_size * (size + (4 if dtype == "bfloat16" else 0) + 4)  # as they come, in float32, probabilities
        parts: dict[str, float | None] = {**held, "KV cache": cache}
        return Moment(name, parts | {"activations": max(attention, prefill), "logits": float(logits)})

    def scoring(self) -> Moment:
        """Scores in `evaluate`, which are computed in float32."""
        text = self.config.get_text_config(decoder=True)
        logits = 2 * 4 * min(chunk_tokens(text.vocab_size, text.hidden_size), _SCORING_TOKENS) * text.vocab_size
        weights = self.weights.size("float32", four_bit=self.four_bit)
        return Moment("scores", {"weights": weights, "activations": 4 * self._wide(_SCORING_TOKENS), "logits": float(logits)})

    def _wide(self, num_tokens: float) -> float:
        """Numbers that a forward pass without gradients holds in a layer: about six as wide as the states, three as the inner
        layer."""
        text = self.config.get_text_config(decoder=True)
        inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
        return float(num_tokens * (6 * text.hidden_size + 3 * inner))


def _fullest(rows: list[TrainingRows]) -> list[TrainingRows]:
    """Those that may be the fullest: a longer row of the same kind takes more than a shorter one."""
    return [
        row
        for row in rows
        if not any(
            other.shape.num_tokens > row.shape.num_tokens
            and other.shape.gradients >= row.shape.gradients
            and (row.checkpointing or not other.checkpointing)
            for other in rows
        )
    ]


_counted: dict[Any, Any] = {}


def _once(count: Callable[..., Found], config: Any, adapter: AdapterSection | None, *given: Any, **options: bool) -> Found:
    """What is counted for the same configuration, adapter and other arguments is counted once: remedies are tried by the dozen."""
    key = (count, config.to_json_string(), None if adapter is None else adapter.model_dump_json(), *given, *options.items())
    if key not in _counted:
        _counted[key] = count(config, adapter, *given, **options)
    return cast(Found, _counted[key])
