"""The decoding loop: each prompt is prefilled once, finished rows leave the batch, and waiting requests take their places."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from aftune.models.kernels.single_query import fast_single_steps
from aftune.sampling.transformers.cache import SPARE, STEP, SlotCache, prefill_cache
from aftune.sampling.transformers.layers import WITH_NEITHER, WITH_STATES, attention_window, has_only_states, layer_kinds
from aftune.sampling.transformers.next_token import TokenChoice
from aftune.sampling.transformers.rows import Job, Row, add_tokens, uniform_numbers

PREFILL_TOKENS = 8192  # the most in one forward pass, unless a single prompt is longer: bounds memory
REFILL_SHARE = 8  # waiting requests come in when an eighth of the slots is free: prefills of a few tokens are wasteful


class DecodingLoop:
    """One run over the requests of a job.

    All rows of the cache end at the same column, so a row is described by the column it starts at, and its next position is
    the difference. Rows 0 to len(rows) - 1 of every tensor are in use. Finished rows stay until enough have finished, or until the
    end: they cost a little work, and what they produce is discarded.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        job: Job,
    ) -> None:
        self.model = model
        self.requests = job.requests
        self.room = job.room
        self.choose = TokenChoice(job.settings)
        self.stops = job.stops
        self.num_slots = min(job.num_rows, len(job.requests))
        self.last_position = job.longest - 1
        self.window = attention_window(model, job.longest)
        self.kinds = layer_kinds(model)
        self.only_states = has_only_states(model)
        self.device = model.device
        self.cache = SlotCache()
        self.rows: list[Row] = []
        self.start_N = torch.zeros(self.num_slots, dtype=torch.long, device=self.device)
        self.last_N = torch.zeros_like(self.start_N)

    def run(self) -> Iterator[tuple[int, list[int], bool]]:
        """`(index of the request, token ids, whether a stop token followed)`, each when it is finished.

        Raises DataError where the logits of a row are not finite.
        """
        waiting = self._groups()
        while waiting or self.rows:
            num_live = sum(not row.done for row in self.rows)
            free = self.num_slots - num_live
            if waiting and free >= max(len(waiting[-1]), self.num_slots // REFILL_SHARE):
                yield from self._drop()
                self._refill(waiting)
            elif not waiting and (len(self.rows) - num_live) * 16 >= len(self.rows):
                yield from self._drop()
            if num_live:
                self._step(bool(waiting))

    def _groups(self) -> list[list[int]]:
        """Indices of adjacent requests that share a prompt, at most `num_slots` in a group; the last group is next."""
        groups = []
        for _, members in groupby(range(len(self.requests)), key=lambda index: self.requests[index].prompt):
            indices = list(members)
            groups += [indices[start : start + self.num_slots] for start in range(0, len(indices), self.num_slots)]
        return groups[::-1]

    def _refill(self, waiting: list[list[int]]) -> None:
        """Fills the free slots with whole groups, in as few forward passes as memory allows."""
        free = self.num_slots - len(self.rows)
        taken: list[list[int]] = []
        longest = 0
        while waiting and free >= len(waiting[-1]):
            length = len(self.requests[waiting[-1][0]].prompt)
            if taken and max(longest, length) * (len(taken) + 1) > PREFILL_TOKENS:
                self._admit(taken)
                taken, longest = [], 0
            longest = max(longest, length)
            taken.append(waiting.pop())
            free -= len(taken[-1])
        if taken:
            self._admit(taken)

    def _admit(self, groups: list[list[int]]) -> None:
        """Prefills one prompt per group, and adds a row for each of its requests with its first token."""
        prompts = [self.requests[group[0]].prompt for group in groups]
        lengths_P = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        longest = int(lengths_P.max())
        prefilled = prefill_cache(self.model.config)
        logits_P_V = self._prefill(prompts, lengths_P, longest, prefilled)
        if longest > self.cache.column:
            self._lay_out(longest, self._num_kept(), self.num_slots)
        source_N = torch.tensor([i for i, group in enumerate(groups) for _ in group], device=self.device)
        self.cache.append(prefilled, source_N, self.num_slots)

        admitted = [Row(index, self.requests[index], self.room[index]) for group in groups for index in group]
        rows = slice(len(self.rows), len(self.rows) + len(admitted))
        self.rows += admitted
        self.start_N[rows] = self.cache.column - lengths_P[source_N]
        self._take(logits_P_V[source_N], rows)

    def _prefill(self, prompts: list[list[int]], lengths_P: Tensor, longest: int, cache: Cache) -> Tensor:
        """Logits after each prompt, [P, V]; prompts are padded on the left with a token that no other looks at."""
        padded = [[0] * (longest - len(prompt)) + prompt for prompt in prompts]
        column_T = torch.arange(longest, device=self.device)
        start_P1 = longest - lengths_P[:, None]
        visible_P_T_T = (column_T <= column_T[:, None]) & (column_T >= start_P1[:, :, None])
        # Padding looks at itself: a row of the softmax must not be empty.
        visible_P_T_T |= torch.eye(longest, dtype=torch.bool, device=self.device)
        ids_P_T, position_P_T = torch.tensor(padded, device=self.device), (column_T - start_P1).clamp(min=0)
        is_padding_P_T = column_T < start_P1
        states_mask = ~is_padding_P_T if is_padding_P_T.any() else None
        mask = self._masks(visible_P_T_T[:, None], column_T[:, None] - column_T, states_mask)
        return self._forward(ids_P_T, position_P_T, mask, cache)

    def _step(self, is_refilled: bool) -> None:
        """One more token for each row."""
        rows = slice(0, len(self.rows))
        kept = self._num_kept()
        if self.cache.column == self.cache.width or kept + SPARE + 2 * STEP <= self.cache.width:
            self._lay_out(kept, kept, self.num_slots if is_refilled else rows.stop)
        column_W = torch.arange(self.cache.width, device=self.device)
        visible_N_W = (column_W >= self.start_N[rows, None]) & (column_W <= self.cache.column)
        # Finished rows may have reached the end of the context, where learned positions end too.
        position_N1 = (self.cache.column - self.start_N[rows])[:, None].clamp(max=self.last_position)
        with fast_single_steps(self.model):
            mask = self._masks(visible_N_W[:, None, None], self.cache.column - column_W, None)
            logits_N_V = self._forward(self.last_N[rows, None], position_N1, mask, self.cache)
        self.cache.column += 1
        self._take(logits_N_V, rows)

    def _masks(self, visible_N1_T_T: Tensor, distance_T_T: Tensor, is_text_N_T: Tensor | None) -> Any:
        """As the model takes them. distance: columns from each that looks back to each that it looks at; is_text: what goes into
        a state, which is all if None."""
        if self.only_states:
            return is_text_N_T
        mask = self._mask(visible_N1_T_T)
        near = mask if self.window is None else self._mask(visible_N1_T_T & (distance_T_T < self.window))
        if self.kinds & WITH_STATES or (len(self.kinds) > 1 and self.window is not None):
            attention = {"full_attention": mask, "chunked_attention": mask, "sliding_attention": near}
            return attention | dict.fromkeys(("linear_attention", "conv"), is_text_N_T) | dict.fromkeys(WITH_NEITHER)
        return near

    def _forward(self, ids_N_T: Tensor, position_N_T: Tensor, mask: Any, cache: Cache) -> Tensor:
        arguments = {"cache_params": cache} if self.only_states else {"past_key_values": cache, "position_ids": position_N_T}
        logits: Tensor = self.model(input_ids=ids_N_T, attention_mask=mask, use_cache=True, logits_to_keep=1, **arguments).logits
        return logits[:, -1]

    def _mask(self, visible_N1_T_T: Tensor) -> Tensor:
        """As the model's attention takes it: what is visible, or what is added to the scores."""
        if self.model.config.get_text_config(decoder=True)._attn_implementation == "sdpa":
            return visible_N1_T_T
        lowest = torch.finfo(self.model.dtype).min
        return torch.zeros_like(visible_N1_T_T, dtype=self.model.dtype).masked_fill_(~visible_N1_T_T, lowest)

    def _take(self, logits_N_V: Tensor, rows: slice) -> None:
        """Chooses the rows' next tokens."""
        taken = self.rows[rows]
        token_N = self.choose(logits_N_V, uniform_numbers(taken, self.device))
        self.last_N[rows] = token_N.clamp(min=0)
        add_tokens(taken, token_N, self.stops, self.model)

    def _num_kept(self) -> int:
        """Columns of the longest row."""
        return self.cache.column - int(self.start_N[: len(self.rows)].min()) if self.rows else 0

    def _lay_out(self, length: int, kept: int, num_slots: int) -> None:
        self.start_N[: len(self.rows)] += self.cache.lay_out(length, kept, num_slots)

    def _drop(self) -> Iterator[tuple[int, list[int], bool]]:
        """Gives the finished rows, and closes their gaps with the last rows."""
        finished = [row for row in self.rows if row.done]
        num_live = len(self.rows) - len(finished)
        target = [place for place, row in enumerate(self.rows[:num_live]) if row.done]
        source = [place for place, row in enumerate(self.rows) if place >= num_live and not row.done]
        target_N, source_N = (torch.tensor(places, dtype=torch.long, device=self.device) for places in (target, source))
        self.cache.move(source_N, target_N, num_live)
        for tensor in (self.start_N, self.last_N):
            tensor[target_N] = tensor[source_N]
        for to, place in zip(target, source, strict=True):
            self.rows[to] = self.rows[place]
        del self.rows[num_live:]
        yield from ((row.index, row.ids, row.stopped) for row in finished)
