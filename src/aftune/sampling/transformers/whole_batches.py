"""Whole batches through `transformers.generate`: slower, for models whose caches and masks the decoding loop cannot handle."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from aftune.sampling.interface import SamplingSettings
from aftune.sampling.transformers.next_token import TokenChoice
from aftune.sampling.transformers.rows import Job, Row, add_tokens, uniform_numbers
from aftune.sampling.transformers.stops import Stops


class OwnChoice(LogitsProcessor):
    """Chooses the rows' next tokens, and sets all others to -inf, so that greedy decoding takes them.

    `generate` has one random state for a whole batch; this makes a completion depend on its own seed only.
    """

    def __init__(self, model: PreTrainedModel, rows: Sequence[Row], settings: SamplingSettings, stops: Stops) -> None:
        self.model = model
        self.rows = rows
        self.choose = TokenChoice(settings)
        self.stops = stops

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        token_N = self.choose(scores, uniform_numbers(self.rows, scores.device))
        add_tokens(self.rows, token_N, self.stops, self.model)
        return torch.full_like(scores, -torch.inf).scatter(1, token_N[:, None].clamp(min=0), 0.0)


class AllDone(StoppingCriteria):
    """Which rows are done."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        return torch.tensor([row.done for row in self.rows], device=input_ids.device)


def generate_whole(model: PreTrainedModel, job: Job) -> Iterator[tuple[int, list[int], bool]]:
    """As `DecodingLoop.run`: `(index of the request, token ids, whether a stop token followed)`.

    The prompts of a batch have the same number of tokens: some models (RecurrentGemma, RWKV) take padding into their state.
    """
    alike: dict[int, list[int]] = {}
    for index, request in enumerate(job.requests):
        alike.setdefault(len(request.prompt), []).append(index)
    for indices in alike.values():
        for start in range(0, len(indices), job.num_rows):
            rows = [Row(index, job.requests[index], job.room[index]) for index in indices[start : start + job.num_rows]]
            _generate(model, rows, job.settings, job.stops)
            yield from ((row.index, row.ids, row.stopped) for row in rows)


def _generate(model: PreTrainedModel, rows: Sequence[Row], settings: SamplingSettings, stops: Stops) -> None:
    """Fills the rows."""
    ids_N_T = torch.tensor([row.request.prompt for row in rows], device=model.device)
    with _own_settings(model):
        model.generate(
            input_ids=ids_N_T,
            attention_mask=torch.ones_like(ids_N_T),
            max_new_tokens=max(row.room for row in rows),
            do_sample=False,
            use_cache=model.config.model_type != "rwkv",  # transformers 5.23 mixes up the states of its rows
            logits_processor=LogitsProcessorList([OwnChoice(model, rows, settings, stops)]),
            stopping_criteria=StoppingCriteriaList([AllDone(rows)]),
        )


@contextmanager
def _own_settings(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, a model has no generation configuration of its own: with penalties, forbidden or forced tokens and such,
    responses are not drawn from the policy's distribution, and `generate` applies them by default."""
    before = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = before
