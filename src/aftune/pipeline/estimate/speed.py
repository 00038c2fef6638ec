"""How long a run would take here: the work of its stages (aftune.pipeline.estimate.cost) times the time of a trial.

The trial has the model's architecture with random weights, whole where it is small, else with its first layers, and runs what
the stages run: training passes, scores, steps of decoding. Where the model's configuration is not here, a matrix product stands
in for all of it, and the range is wide.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

import torch
from accelerate.utils import send_to_device
from transformers import AutoModelForCausalLM, GenerationConfig

from aftune.models.abilities import abilities
from aftune.models.adapters import add_adapter
from aftune.models.devices import pick_device
from aftune.models.loading import count_parameters, first_layers, load_config
from aftune.models.precision import product_rates
from aftune.pipeline.estimate.cost import StageCost, trained_operations
from aftune.pipeline.estimate.sizes import lengths, num_candidates
from aftune.pipeline.estimate.weights import in_full, num_parameters
from aftune.prompts.encoding import EncodedGroup
from aftune.recipe import Recipe
from aftune.sampling import Request, SamplingSettings
from aftune.sampling.transformers.engine import decode
from aftune.sampling.transformers.rows import Job
from aftune.sampling.transformers.stops import Stops
from aftune.scoring import make_pass, response_logprobs

_SMALL = 200e6  # parameters up to which the trial is the whole model
_SOME_LAYERS = 4  # of a larger one; compared with one layer, they show what a layer takes and what the rest takes
_TOO_LARGE = 2e9  # parameters of the trial beyond which it is left out: 8 GB in float32
_TRIAL_SECONDS = 0.5  # what one trial may take at the rate of a matrix product
_SHARES = (0.1, 0.5)  # shares of the rate of a matrix product that a run may reach, where nothing else is known
_UNCERTAIN = 1.25  # factor up and down: by how much repeated trials differ
_BEGINNING = (0.5, 2.0)  # seconds that a piece of work takes however small it is: to load a small model, and to write one


@dataclass(frozen=True)
class Speed:
    """Seconds for a token trained on (for one of its operations with each weight), a token of a forward pass, an optimizer step, a
    decoding step, and each row of one."""

    trained: float
    scored: float
    optimizer_step: float
    decoding_step: float
    decoding_row: float

    def extended(self, other: "Speed", factor: float) -> "Speed":
        """This speed, plus `factor` times what the other takes beyond it."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Speed(*(own + factor * max(0.0, more - own) for own, more in pairs))

    def seconds(self, cost: StageCost) -> float:
        total = (
            cost.trained * cost.trained_operations * self.trained + cost.num_steps * self.optimizer_step + cost.scored * self.scored
        )
        if cost.decoding is not None:
            total += cost.decoding.num_steps * self.decoding_step + cost.decoding.num_tokens * self.decoding_row
        return total


@dataclass(frozen=True)
class Duration:
    """From `low` to `high` seconds, and why it is a range."""

    low: float
    high: float
    why: str


def duration(costs: Sequence[StageCost], recipe: Recipe, speed: Speed | None, uncertain: float = _UNCERTAIN) -> Duration | None:
    """The time of all the work, or None where the model's size is not known. speed: as `measured_speed` gives it. uncertain: the
    factor, up and down, by which it may be off."""
    if speed is None:
        parameters = num_parameters(recipe)
        if parameters is None:
            return None
        rates = product_rates(pick_device(recipe.model.device))
        rate = rates.bfloat16 if recipe.model.precision == "bfloat16" else rates.float32
        low, high = (sum(cost.teraflops(parameters) for cost in costs) / rate / share for share in reversed(_SHARES))
        return Duration(low, high, "guessed from a matrix product, as the model is not here to try")
    least, most = (len(costs) * seconds for seconds in _BEGINNING)
    low = sum(map(speed.seconds, costs)) / uncertain + least
    high = sum(speed.seconds(cost.at_most()) for cost in costs) * uncertain + most
    return Duration(low, high, "low: responses as long as the references; high: all as long as max_new_tokens allows")


def measured_speed(recipe: Recipe) -> Speed | None:
    """Measures the recipe's model on this machine, in a few seconds; None where its configuration is not here or it is too large.

    recipe: with its precision settled.
    """
    section = recipe.model
    config = load_config(section.name, **section.load_options)
    parameters = num_parameters(recipe)
    if config is None or parameters is None:
        return None
    if parameters <= _SMALL:
        return _Trial(recipe, config).speed()
    num_layers = config.get_text_config(decoder=True).num_hidden_layers
    some = min(_SOME_LAYERS, num_layers)
    larger = first_layers(config, some)
    if count_parameters(larger) > _TOO_LARGE:
        return None
    one, several = _Trial(recipe, first_layers(config, 1)).speed(), _Trial(recipe, larger).speed()
    return one.extended(several, (num_layers - 1) / max(some - 1, 1))


def _products(config: Any, parameters: float) -> float:
    """Parameters that a token is multiplied by: all but the embedding's, which counts once where the head shares it."""
    text = config.get_text_config(decoder=True)
    shared = getattr(config, "tie_word_embeddings", False) or getattr(text, "tie_word_embeddings", False)
    return parameters - (0 if shared else text.vocab_size * text.hidden_size)


class _Trial:
    """A model with random weights, and work of the recipe's shape for it."""

    def __init__(self, recipe: Recipe, config: Any) -> None:
        self.recipe = recipe
        self.device = pick_device(recipe.model.device)
        self.half = recipe.model.precision == "bfloat16"
        attention = None if recipe.model.attention == "auto" else recipe.model.attention
        with torch.random.fork_rng(devices=[]):  # the random numbers of the process stay as they are
            self.model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attention)
            self.model.generation_config = GenerationConfig()
            self.model.to(self.device).eval()
            if recipe.adapter.kind != "none":
                self.model = add_adapter(self.model.to(torch.bfloat16) if self.half else self.model, in_full(recipe.adapter))
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        sizes = lengths(recipe)
        self.prompt, self.response = (max(1, round(length)) for length in (sizes.prompt, sizes.response))
        rates = product_rates(self.device)
        operations = _TRIAL_SECONDS * 1e12 * (rates.bfloat16 if self.half else rates.float32)
        self.num_tokens = operations / (2 * _products(config, count_parameters(config)))  # of a forward pass

    def speed(self) -> Speed:
        """On a CPU by processor time of one thread, divided by what more threads gain: a busy machine does not look slow."""
        threads = torch.get_num_threads()
        gain = 1.0
        if self.device == "cpu" and threads > 1:
            one_group = partial(self._train_on, self._groups(1 / 3)[:1])
            together = self._seconds(one_group, time.perf_counter)
            torch.set_num_threads(1)
            gain = min(max(self._seconds(one_group) / together, 1.0), threads)
        try:
            trained, step = self._training() / trained_operations(self.recipe.adapter, again=False), self._optimizer_step()
            if self.recipe.adapter.kind != "none":
                self.model = self.model.unload().to(torch.float32)
            scored = self._scoring()
            if self.half:
                self.model.to(torch.bfloat16)
            return Speed(*(seconds / gain for seconds in (trained, scored, step, *self._decoding())))
        finally:
            torch.set_num_threads(threads)

    def _groups(self, share: float) -> list[EncodedGroup]:
        """As many groups as a pass takes and the trial's time allows."""
        k = num_candidates(self.recipe, self.recipe.sample)
        k = max(1, min(k, int(self.num_tokens * share) // self.response))
        group = EncodedGroup("trial", [1] * self.prompt, [[2] * self.response] * k, [True] * k, [None] * k)
        budget = min(self.recipe.align.token_budget, int(self.num_tokens * share))
        return [group] * max(1, budget // group.num_tokens)

    def _training(self) -> float:
        """Seconds per token, forward and backward."""
        groups = self._groups(1 / 3)
        return self._seconds(partial(self._train_on, groups)) / sum(group.num_tokens for group in groups)

    def _train_on(self, groups: list[EncodedGroup]) -> None:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            logprobs = self._logprobs(groups, self.recipe.align.kept_logits_gib * 2**30)
        logprobs.sums_P_G.mean().backward()

    def _scoring(self) -> float:
        """Seconds per token of a forward pass in float32, as the stage `evaluate` computes scores."""
        groups = self._groups(1)

        def run() -> None:
            with torch.inference_mode():
                self._logprobs(groups)

        return self._seconds(run) / sum(group.num_tokens for group in groups)

    def _logprobs(self, groups: list[EncodedGroup], kept_bytes: float = 0) -> Any:
        made = make_pass(groups, token_budget=10**9, shared_prefix=abilities(self.model).shared_prefix)
        return response_logprobs(self.model, send_to_device(made, self.model.device), kept_bytes)

    def _optimizer_step(self) -> float:
        optimizer = torch.optim.AdamW(self.weights, lr=1e-9)
        return self._seconds(optimizer.step)

    def _decoding(self) -> tuple[float, float]:
        """Seconds of a step, and of each row in it, from steps with many and with few rows."""
        most = max(2, min(self.recipe.sample.batch_size, int(self.num_tokens / 8)))
        few = max(1, most // 8)
        by_rows = {rows: self._step(rows) for rows in (few, most)}
        row = max(0.0, by_rows[most] - by_rows[few]) / (most - few)
        return max(0.0, by_rows[most] - row * most), row

    def _step(self, rows: int) -> float:
        short, long = 2, 6
        seconds = [self._seconds(partial(self._decode, rows, steps)) for steps in (short, long)]
        return max(0.0, seconds[1] - seconds[0]) / (long - short)

    @torch.inference_mode()
    def _decode(self, rows: int, num_steps: int) -> None:
        prompt = [1] * (self.prompt + self.response // 2)  # at the mean length
        requests = [Request(prompt, seed) for seed in range(rows)]
        settings = SamplingSettings(num_steps, temperature=1.0)
        for _ in decode(self.model, Job(requests, [num_steps] * rows, settings, Stops(frozenset()), rows)):
            pass

    def _seconds(self, work: Callable[[], Any], clock: Callable[[], float] | None = None, rounds: int = 3) -> float:
        """The fastest of a few rounds, or of two where one takes long: the first finds memory and caches cold."""
        clock = clock or (time.process_time if self.device == "cpu" else time.perf_counter)
        best, total = float("inf"), 0.0
        for number in range(1, rounds + 1):
            started = clock()
            work()
            if self.device == "cuda":
                torch.cuda.synchronize()
            best = min(best, clock() - started)
            total += best
            if number > 1 and total > 3 * _TRIAL_SECONDS:
                break
        return best
