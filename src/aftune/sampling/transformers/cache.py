"""Keys and values of the rows that are being decoded, all ending at the same column."""

import math
from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache

SPARE = 8  # at least this many columns are free after a new layout: more are read for nothing, fewer mean copying more often
STEP = 16  # widths are multiples of this: products over other widths took up to half as long again on a CPU, in bfloat16


class SlotCache(Cache):
    """Rows of different lengths for single-token steps: whatever a row's length, its next token goes to `column`.

    So a step writes one column, and a row's own columns are those from its start on. Each layer's keys and values are one
    dense tensor [slots, H, width, D] that attention reads whole: batched matrix products over parts of wider rows are several
    times slower on a CPU. `width` therefore stays near the longest row, and the layout is redone every 8 to 23 columns.
    """

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
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
            for layer, tensor in enumerate(tensors):
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
        """Adds rows that end at `column`: row i gets the keys and values of the prefilled row `source_N[i]`."""
        rows = slice(self.num_rows, self.num_rows + len(source_N))
        for layer, states in enumerate(prefilled.layers):
            for tensors, state in ((self.keys, states.keys), (self.values, states.values)):
                if layer == len(tensors):
                    tensors.append(state.new_zeros(num_slots, state.shape[1], self.width, state.shape[3]))
                tensors[layer][rows, :, self.column - state.shape[2] : self.column] = state.index_select(0, source_N)
        self.num_rows = rows.stop

    def move(self, source_N: Tensor, target_N: Tensor, num_rows: int) -> None:
        """Copies rows over others, and forgets the rows from `num_rows` on."""
        for tensor in (*self.keys, *self.values):
            tensor[target_N] = tensor[source_N]
        self.num_rows = num_rows
