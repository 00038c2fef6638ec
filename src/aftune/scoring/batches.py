"""Groups as rows for the model.

A batch of groups becomes passes. A pass holds whole groups and is computed and propagated back at once; its rows hold at
most `token_budget` tokens each. In a row every prompt occurs once, followed by its responses. Responses that no gradient
reaches have rows of their own, and a group too large for one row has several (its rows are then computed again in the
backward pass, one at a time).

Tensor suffixes: _P problems, _G responses of a problem, _T tokens of a row, _N responses of a row, _M response tokens of a
row, _L tokens of a response. Dimension 0 of a pass's tensors is always problems, so that nothing that splits a batch splits a
group.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from aftune.models.kernels.shared_prefix import Segment
from aftune.prompts.encoding import EncodedGroup


class Row(TypedDict):
    """Input of one forward pass: one sequence of segments, or, without shared prefixes, one padded sequence per response."""

    input_ids: Tensor  # [1, T] or [N, T] int64
    position_ids: Tensor  # like input_ids
    attention_mask: Tensor | None  # [N, T] int64 of padded sequences
    segments: list[Segment] | None  # of a shared row
    predictors_M: Tensor  # place, in the flattened row, of the hidden state that predicts each response token
    targets_M: Tensor  # [M] int64, the response tokens
    places_N_L: Tensor  # [N, L] int64, places in M of each response's tokens; M where it has no more
    responses_N: Tensor  # [N] int64, p * G + g of each response
    num_tokens: int  # without padding
    needs_gradient: bool


class Pass(TypedDict):
    """Groups that are computed together."""

    response_lengths: Tensor  # [P, G] int64, tokens; 0 where there is no response
    padded_lengths: Tensor  # [P] int64, tokens of the prompt with the longest response
    in_sft: Tensor  # [P, G] bool
    in_alignment: Tensor  # [P, G] bool
    qualities: Tensor  # [P, G] float32; 0 outside the alignment loss
    reference_logprob_sums: Tensor | None  # [P, G] float32, where the groups have them
    rows: list[Row]


class Batch(TypedDict):
    """What a batch of groups becomes. A group for which nothing has to be computed is in no pass; it still counts."""

    problems: Tensor  # [P], the numbers of all groups
    passes: list[Pass]
    groups: list[EncodedGroup]  # what it was made from


# From qualities and mask [P, G]: which responses the alignment loss uses, and which of them get a gradient from it.
Needs = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def collate(
    groups: Sequence[EncodedGroup], *, token_budget: int = 4096, shared_prefix: bool = True, needs: Needs | None = None
) -> Batch:
    """Fills passes with the groups, largest first. Without `needs` every response is computed with gradients."""
    sizes = [group.num_tokens for group in groups]
    passes = [
        make_pass([groups[i] for i in sorted(indices)], token_budget=token_budget, shared_prefix=shared_prefix, needs=needs)
        for indices in _bins(sizes, token_budget)
    ]
    return Batch(problems=torch.arange(len(groups)), passes=[made for made in passes if made["rows"]], groups=list(groups))


def make_pass(
    groups: Sequence[EncodedGroup], *, token_budget: int = 4096, shared_prefix: bool = True, needs: Needs | None = None
) -> Pass:
    """The groups as one pass."""
    shape = (len(groups), max(1, *(len(group.response_ids) for group in groups)))
    made = Pass(
        response_lengths=torch.zeros(shape, dtype=torch.long),
        padded_lengths=torch.tensor([len(g.prompt_ids) + max(map(len, g.response_ids), default=0) for g in groups]),
        in_sft=torch.zeros(shape, dtype=torch.bool),
        in_alignment=torch.zeros(shape, dtype=torch.bool),
        qualities=torch.zeros(shape),
        reference_logprob_sums=torch.zeros(shape) if any(group.reference_logprobs for group in groups) else None,
        rows=[],
    )
    for p, group in enumerate(groups):
        for g, response in enumerate(group.response_ids):
            made["response_lengths"][p, g] = len(response)
            made["in_sft"][p, g] = group.in_sft[g]
            if made["reference_logprob_sums"] is not None and group.reference_logprobs is not None:
                made["reference_logprob_sums"][p, g] = group.reference_logprobs[g]
            quality = group.qualities[g]
            if quality is not None:
                made["in_alignment"][p, g] = True
                made["qualities"][p, g] = quality
    if needs is None:
        with_gradient_P_G = made["response_lengths"] > 0
        without_P_G = torch.zeros_like(with_gradient_P_G)
    else:
        used_P_G, with_gradient_P_G = needs(made["qualities"], made["in_alignment"])
        made["in_alignment"] &= used_P_G
        with_gradient_P_G = with_gradient_P_G | made["in_sft"]
        without_P_G = used_P_G & ~with_gradient_P_G
    for wanted_P_G, gradient in ((with_gradient_P_G, True), (without_P_G, False)):
        pieces = list(_pieces(groups, wanted_P_G.tolist(), token_budget))
        for indices in _bins([piece.num_tokens for piece in pieces], token_budget):
            row = _shared_row if shared_prefix else _padded_row
            made["rows"].append(row([pieces[i] for i in sorted(indices)], shape[1], gradient))
    return made


class _Piece:
    """A prompt and those of its responses that go into one row."""

    def __init__(self, p: int, prompt_ids: list[int]) -> None:
        self.p = p
        self.prompt_ids = prompt_ids
        self.responses: list[tuple[int, list[int]]] = []
        self.num_tokens = len(prompt_ids)

    def add(self, g: int, response_ids: list[int]) -> None:
        self.responses.append((g, response_ids))
        self.num_tokens += len(response_ids)


def _pieces(groups: Sequence[EncodedGroup], wanted: list[list[bool]], token_budget: int) -> Iterator[_Piece]:
    """Each group's wanted responses, in as many pieces as the budget requires."""
    for p, group in enumerate(groups):
        piece = _Piece(p, group.prompt_ids)
        for g, response in enumerate(group.response_ids):
            if wanted[p][g]:
                if piece.responses and piece.num_tokens + len(response) > token_budget:
                    yield piece
                    piece = _Piece(p, group.prompt_ids)
                piece.add(g, response)
        if piece.responses:
            yield piece


def _bins(sizes: Sequence[int], capacity: int) -> list[list[int]]:
    """Indices of sizes in bins of at most `capacity`, by first fit, largest first; anything larger gets a bin of its own."""
    bins: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        place = next((b for b, free in enumerate(room) if free >= sizes[index]), None)
        if place is None:
            bins.append([])
            room.append(capacity)
            place = -1
        bins[place].append(index)
        room[place] -= sizes[index]
    return bins


@dataclass(frozen=True)
class _Layout:
    """Where the tokens of a row are, as in `Row`: with segments, or padded with a mask."""

    ids: list[list[int]]
    positions: list[list[int]]
    predictors: list[int]
    segments: list[Segment] | None = None
    mask: list[list[int]] | None = None


def _shared_row(pieces: Sequence[_Piece], width: int, needs_gradient: bool) -> Row:
    ids: list[int] = []
    positions: list[int] = []
    predictors: list[int] = []
    segments: list[Segment] = []
    for piece in pieces:
        start, prompt_length = len(ids), len(piece.prompt_ids)
        ids += piece.prompt_ids
        positions += range(prompt_length)
        for _, response in piece.responses:
            predictors += [start + prompt_length - 1, *range(len(ids), len(ids) + len(response) - 1)]
            positions += range(prompt_length, prompt_length + len(response))
            ids += response
        segments.append(Segment(start, prompt_length, tuple(len(response) for _, response in piece.responses)))
    return _row(_Layout([ids], [positions], predictors, segments=segments), pieces, width, needs_gradient)


def _padded_row(pieces: Sequence[_Piece], width: int, needs_gradient: bool) -> Row:
    sequences = [(piece.prompt_ids, response) for piece in pieces for _, response in piece.responses]
    longest = max(len(prompt) + len(response) for prompt, response in sequences)
    ids: list[list[int]] = []
    predictors: list[int] = []
    for n, (prompt, response) in enumerate(sequences):
        joined = prompt + response
        predictors += range(n * longest + len(prompt) - 1, n * longest + len(joined) - 1)
        ids.append(joined + [0] * (longest - len(joined)))  # masked, so any id will do
    mask = [[int(t < len(prompt) + len(response)) for t in range(longest)] for prompt, response in sequences]
    layout = _Layout(ids, [list(range(longest))] * len(ids), predictors, mask=mask)
    return _row(layout, pieces, width, needs_gradient)


def _row(layout: _Layout, pieces: Iterable[_Piece], width: int, needs_gradient: bool) -> Row:
    """width: G, the responses of the largest group."""
    responses = [(piece.p * width + g, response) for piece in pieces for g, response in piece.responses]
    return Row(
        input_ids=torch.tensor(layout.ids),
        position_ids=torch.tensor(layout.positions),
        attention_mask=None if layout.mask is None else torch.tensor(layout.mask),
        segments=layout.segments,
        predictors_M=torch.tensor(layout.predictors),
        targets_M=torch.tensor([token for _, response in responses for token in response]),
        places_N_L=_places([len(response) for _, response in responses]),
        responses_N=torch.tensor([index for index, _ in responses]),
        num_tokens=sum(map(len, layout.ids)) if layout.mask is None else sum(map(sum, layout.mask)),
        needs_gradient=needs_gradient,
    )


def _places(lengths: Sequence[int]) -> Tensor:
    """[N, L]: the places of each response's tokens among all M of them; M where it has no more."""
    length_N1 = torch.tensor(lengths)[:, None]
    place_N_L = length_N1.cumsum(0) - length_N1 + torch.arange(max(lengths))
    return torch.where(torch.arange(max(lengths)) < length_N1, place_N_L, sum(lengths))
