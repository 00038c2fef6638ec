"""The default engine: any causal language model of transformers, on whatever device it is on."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aftune.common.process import release_memory
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
        for index, token_ids, stopped in self._decoded(Job(requests, room, settings, stops, self.batch_size)):
            cut = stops.strings.cut(token_ids) if stops.strings else None
            if cut:
                yield index, Completion(*cut, "stop")
            else:
                text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
                yield index, Completion(token_ids, text, "stop" if stopped else "length")

    def _decoded(self, job: Job) -> Iterator[tuple[int, list[int], bool]]:
        """As `decode`. Out of memory, what is not finished begins again, half as many sequences at once: the same ones, since each
        depends on its own seed only."""
        left = list(range(len(job.requests)))
        while left:
            part = replace(
                job, requests=[job.requests[i] for i in left], room=[job.room[i] for i in left], num_rows=self.batch_size
            )
            done = set()
            try:
                for index, token_ids, stopped in decode(self.model, part):
                    done.add(index)
                    yield left[index], token_ids, stopped
            except RuntimeError as error:
                if not should_reduce_batch_size(error) or self.batch_size == 1:
                    raise
                self.batch_size = max(1, min(self.batch_size, len(left)) // 2)
                warnings.warn(
                    f"out of memory: going on with {self.batch_size} sequences at once, which is slower; set batch_size to that",
                    stacklevel=2,
                )
            left = [place for index, place in enumerate(left) if index not in done]
            if left:
                release_memory()
