"""Keys and values of the rows that are being decoded, all ending at the same column, and the states of layers that keep those."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PretrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionLayer

SPARE = 8  # at least this many columns are free after a new layout: more are read for nothing, fewer mean copying more often
STEP = 16  # widths are multiples of this: products over other widths took up to half as long again on a CPU, in bfloat16


def prefill_cache(config: PretrainedConfig) -> DynamicCache:
    """Empty; it keeps the keys and values of all columns, also where attention slides: the newest columns of a short prompt are
    not those of a long one once the layout is redone."""
    cache = DynamicCache(config=config)
    cache.layers = [DynamicLayer() if type(layer) is DynamicSlidingWindowLayer else layer for layer in cache.layers]
    return cache


class SlotCache(Cache):
    """Rows of different lengths for single-token steps: whatever a row's length, its next token goes to `column`.

    So a step writes one column, and a row's own columns are those from its start on. Each layer's keys and values are one
    dense tensor [slots, H, width, D] that attention reads whole: batched matrix products over parts of wider rows are several
    times slower on a CPU. `width` therefore stays near the longest row, and the layout is redone every 8 to 23 columns.

    A state (of a recurrence or a convolution) has no columns. It lies in transformers' own layers, [rows, ...], and the model
    writes it whole in every step.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.layers: list[Any]
        self.keys: dict[int, Tensor] = {}
        self.values: dict[int, Tensor] = {}
        self.num_rows = 0
        self.column = 0
        self.width = 0

    def update(self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Takes each row's newest key and value, [rows, H, 1, D]; gives those of all columns, used or not."""
        keys, values = self.keys[layer_idx][: self.num_rows], self.values[layer_idx][: self.num_rows]
        keys[:, :, self.column : self.column + 1] = key_states
        values[:, :, self.column : self.column + 1] = value_states
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.column

    def lay_out(self, length: int, kept: int, num_slots: int) -> int:
        """Moves the last `kept` columns of all rows so that they end at column `length`, and makes room for `num_slots`
        rows and a few more columns. Returns by how many columns everything moved."""
        self.width = math.ceil((length + SPARE) / STEP) * STEP
        old, new = slice(self.column - kept, self.column), slice(length - kept, length)
        for tensors in (self.keys, self.values):
            for layer, tensor in tensors.items():
                moved = tensor.new_empty(num_slots, tensor.shape[1], self.width, tensor.shape[3])
                moved[: self.num_rows, :, new] = tensor[: self.num_rows, :, old]
                # Masked values must be finite too.
                moved[: self.num_rows, :, : new.start] = 0
                moved[: self.num_rows, :, new.stop :] = 0
                moved[self.num_rows :] = 0
                tensors[layer] = moved
        shift = length - self.column
        self.column = length
        return shift

    def append(self, prefilled: DynamicCache, source_N: Tensor, num_slots: int) -> None:
        """Adds rows that end at `column`: row i gets what was kept of the prefilled row `source_N[i]`. Empties `prefilled`."""
        rows = slice(self.num_rows, self.num_rows + len(source_N))
        for number, layer in enumerate(prefilled.layers):
            if isinstance(layer, LinearAttentionLayer):
                LinearAttentionLayer.reorder_cache(layer, source_N)
            if getattr(layer, "keys", None) is None:
                continue
            for tensors, state in ((self.keys, layer.keys), (self.values, layer.values)):
                if number not in tensors:
                    tensors[number] = state.new_zeros(num_slots, state.shape[1], self.width, state.shape[3])
                tensors[number][rows, :, self.column - state.shape[2] : self.column] = state.index_select(0, source_N)
            layer.keys = layer.values = None
        for ours, theirs in zip(_states(self.layers), _states(prefilled.layers), strict=True) if self.num_rows else ():
            for index, state in theirs.items():
                theirs[index] = torch.cat([ours[index], state])
        self.layers = prefilled.layers
        self.num_rows = rows.stop

    def move(self, source_N: Tensor, target_N: Tensor, num_rows: int) -> None:
        """Copies rows over others, and forgets the rows from `num_rows` on."""
        for tensor in (*self.keys.values(), *self.values.values()):
            tensor[target_N] = tensor[source_N]
        for states in _states(self.layers):
            for index, state in states.items():
                state[target_N] = state[source_N]
                states[index] = state[:num_rows].contiguous()
        self.num_rows = num_rows


def _states(layers: Iterable[Any]) -> Iterator[dict[int, Tensor]]:
    """What each layer keeps beside keys and values, [rows, ...]: one or more convolutions' states, one or more recurrences'."""
    for layer in layers:
        if isinstance(layer, LinearAttentionLayer):
            for states in (layer.conv_states, layer.recurrent_states):
                if any(state is not None for state in states.values()):
                    yield states
