"""The default engine: any causal language model of transformers, on whatever device it is on."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftune.models.loading import context_length, stop_token_ids
from aftune.sampling.interface import Completion, Request, SamplingSettings
from aftune.sampling.transformers.decoding import DecodingLoop
from aftune.sampling.transformers.layers import unsupported
from aftune.sampling.transformers.rows import Job
from aftune.sampling.transformers.stops import stops_of
from aftune.sampling.transformers.whole_batches import generate_whole


def decode(model: PreTrainedModel, job: Job) -> Iterator[tuple[int, list[int], bool]]:
    """`(index of the request, token ids, whether a stop token followed)`, each when it is finished: by the decoding loop, or in
    whole batches, with a warning, for a model that the loop cannot run."""
    reason = unsupported(model, job.longest)
    if reason is None:
        return DecodingLoop(model, job).run()
    warnings.warn(f"sampling runs in whole batches, which is slower: {reason}", stacklevel=2)
    return generate_whole(model, job)


class TransformersEngine:
    """Decodes at most `batch_size` sequences at once. Of the model's generation configuration only the stop tokens count."""

    separate = False
    needs_ids = True

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int = 256) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        self.origin: dict[str, Any] = {}
        self.stop_ids = stop_token_ids(model, tokenizer)

    @torch.inference_mode()
    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)` as they finish; each is cut where the model's context ends."""
        if not requests:
            return
        context = context_length(self.model.config)
        room = [max(1, min(settings.max_new_tokens, context - len(request.prompt))) for request in requests]
        stops = stops_of(self.tokenizer, self.stop_ids, settings.stop)
        job = Job(requests, room, settings, stops, self.batch_size)
        for index, token_ids, stopped in decode(self.model, job):
            cut = stops.strings.cut(token_ids) if stops.strings else None
            if cut:
                yield index, Completion(*cut, "stop")
            else:
                text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
                yield index, Completion(token_ids, text, "stop" if stopped else "length")
