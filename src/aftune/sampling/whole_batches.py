"""Whole batches through `transformers.generate`: slower, for models whose caches and masks the decoding loop cannot handle."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from aftune.sampling.choice import TokenChoice, uniform_numbers
from aftune.sampling.interface import Request, SamplingSettings


class SeededChoice(LogitsProcessor):
    """Sets all but the drawn token of each row to -inf, so that greedy decoding takes that one.

    `generate` has one random state for a whole batch; this makes a completion depend on its own seed only.
    """

    def __init__(self, choice: TokenChoice, uniforms_N_T: Tensor, prompt_length: int) -> None:
        self.choice = choice
        self.uniforms_N_T = uniforms_N_T
        self.prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        drawn_N = self.choice(scores, self.uniforms_N_T[:, input_ids.shape[1] - self.prompt_length])
        return torch.full_like(scores, -torch.inf).scatter(1, drawn_N[:, None], 0.0)


def generate_whole(
    model: PreTrainedModel,
    requests: Sequence[Request],
    room: Sequence[int],
    settings: SamplingSettings,
    stop_ids: Sequence[int],
    batch_size: int,
) -> Iterator[tuple[int, list[int], bool]]:
    """`(index of the request, token ids, whether a stop token followed)`; `room[i]` as in the decoding loop."""
    for start in range(0, len(requests), batch_size):
        waiting = list(range(start, min(start + batch_size, len(requests))))
        while waiting:
            # What the batch's longest prompt cuts short is made again without it: a completion depends on its own prompt only.
            shortest = min(room[index] for index in waiting)
            again = []
            for index, ids in zip(
                waiting, _generate(model, [requests[i] for i in waiting], shortest, settings, stop_ids), strict=True
            ):
                end = next((i for i, token in enumerate(ids) if token in stop_ids), None)
                if end is None and room[index] > shortest:
                    again.append(index)
                else:
                    yield index, ids[:end], end is not None
            waiting = again


def _generate(
    model: PreTrainedModel, requests: Sequence[Request], max_new_tokens: int, settings: SamplingSettings, stop_ids: Sequence[int]
) -> list[list[int]]:
    """New token ids of each request. Prompts are padded on the left; padding is masked, so any id serves."""
    longest = max(len(request.prompt) for request in requests)
    processors = LogitsProcessorList()
    if settings.temperature > 0:
        uniforms_N_T = uniform_numbers([request.seed for request in requests], max_new_tokens)
        double = torch.float32 if model.device.type == "mps" else torch.float64
        processors.append(SeededChoice(TokenChoice(settings), uniforms_N_T.to(model.device, double), longest))
    ids_N_T = torch.tensor([[stop_ids[0]] * (longest - len(request.prompt)) + request.prompt for request in requests])
    mask_N_T = torch.tensor([[0] * (longest - len(request.prompt)) + [1] * len(request.prompt) for request in requests])
    output: Tensor = model.generate(
        input_ids=ids_N_T.to(model.device),
        attention_mask=mask_N_T.to(model.device),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        num_beams=1,  # this and the penalty stand in some models' generation configuration: not the policy's distribution
        repetition_penalty=1.0,
        logits_processor=processors,
        eos_token_id=list(stop_ids),
        pad_token_id=stop_ids[0],
        use_cache=True,
    )
    new_ids: list[list[int]] = output[:, longest:].tolist()
    return new_ids
