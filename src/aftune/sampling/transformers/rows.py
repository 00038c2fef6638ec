"""The requests that are being decoded: their tokens so far, and what ends them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from aftune.common.errors import DataError
from aftune.sampling.interface import Request, SamplingSettings
from aftune.sampling.transformers.next_token import NOT_FINITE
from aftune.sampling.transformers.stops import Stops


@dataclass(frozen=True)
class Job:
    """What is to be decoded, at most `num_rows` sequences at a time. `room[i]`: the most tokens of a response to request i, its
    stop token included."""

    requests: Sequence[Request]
    room: Sequence[int]
    settings: SamplingSettings
    stops: Stops
    num_rows: int

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that may come out, prompt included."""
        return max(len(request.prompt) + tokens for request, tokens in zip(self.requests, self.room, strict=True))


@dataclass
class Row:
    """Request number `index`, which may have `room` tokens, its stop token included. ids: its tokens, without a stop token;
    stopped: whether one followed."""

    index: int
    request: Request
    room: int
    ids: list[int] = field(default_factory=list)
    done: bool = False
    stopped: bool = False

    @cached_property
    def stream(self) -> np.random.Generator:
        return np.random.default_rng(self.request.seed)

    def add(self, token: int, stops: Stops) -> None:
        if token in stops.token_ids:
            self.done = self.stopped = True
        else:
            self.ids.append(token)
            self.done = len(self.ids) >= self.room or stops.just_ended(self.ids)


def uniform_numbers(rows: Sequence[Row], device: torch.device) -> Tensor:
    """The next number in [0, 1) of each row's stream, float64 [N] where the device has it."""
    numbers = [row.stream.random() for row in rows]
    return torch.tensor(numbers, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)


def add_tokens(rows: Sequence[Row], token_N: Tensor, stops: Stops, model: PreTrainedModel) -> None:
    """Gives each row that is not done its next token; raises DataError for one with logits that are not finite."""
    for row, token in zip(rows, token_N.tolist(), strict=True):
        if row.done:
            continue
        if token == NOT_FINITE:
            raise _not_finite(row, model)
        row.add(token, stops)


def _not_finite(row: Row, model: PreTrainedModel) -> DataError:
    name = model.config.name_or_path or type(model).__name__
    bad = next((name for name, weight in model.named_parameters() if not weight.isfinite().all()), None)
    found = f"{row.request.name}: the logits of model {name} are not finite at token {len(row.ids) + 1} of the response"
    if bad is not None:
        return DataError(
            f"{found}, because its weights are not ({bad}); use an undamaged copy, or train it again with a lower learning rate"
        )
    precision = str(model.dtype).removeprefix("torch.")
    return DataError(f"{found} in {precision}, although its weights are; set model.precision=float32 or model.attention=eager")
