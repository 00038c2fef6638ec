"""The default engine: `transformers.generate` in batches, with one random stream for each candidate."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from aftune.models import context_length, stop_token_ids
from aftune.sampling.interface import Completion, SamplingSettings


class SeededChoice(LogitsProcessor):
    """Draws the next token of each row by inverting its cumulative distribution at the row's own uniform number.

    All other tokens are set to -inf, so that greedy decoding takes the drawn one. `generate` has one random state for a
    whole batch; this makes a candidate depend on its own seed only, whatever it is batched with. Runs after the processors
    for temperature, top-k and top-p.
    """

    def __init__(self, seeds: Sequence[int], max_new_tokens: int, prompt_length: int, device: torch.device) -> None:
        uniforms = np.stack([np.random.default_rng(seed).random(max_new_tokens) for seed in seeds])
        self.uniforms_N_T = torch.from_numpy(uniforms).to(device, torch.float32 if device.type == "mps" else torch.float64)
        self.prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        cumulative_N_V = scores.to(self.uniforms_N_T.dtype).softmax(-1).cumsum(-1)
        threshold_N = self.uniforms_N_T[:, input_ids.shape[1] - self.prompt_length, None] * cumulative_N_V[:, -1:]
        drawn_N = torch.searchsorted(cumulative_N_V, threshold_N, right=True).clamp(max=scores.shape[-1] - 1)
        return torch.full_like(scores, -torch.inf).scatter(1, drawn_N, 0.0)


class TransformersEngine:
    """Runs on whatever device the model is on. Prompts are padded on the left."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = stop_token_ids(model, tokenizer)
        # Padding is masked, so any id serves where the tokenizer has none.
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.stop_ids[0]

    @torch.inference_mode()
    def complete(self, prompts: Sequence[list[int]], seeds: Sequence[int], settings: SamplingSettings) -> list[Completion]:
        """One completion a prompt, cut where the model's context ends."""
        longest = max(map(len, prompts))
        context = context_length(self.model.config)
        room_N = [max(1, min(settings.max_new_tokens, context - len(prompt))) for prompt in prompts]
        max_new_tokens = min(room_N)
        ids_N_T = torch.tensor([[self.pad_id] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask_N_T = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        device = self.model.device
        output = self.model.generate(
            input_ids=ids_N_T.to(device),
            attention_mask=mask_N_T.to(device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            num_beams=1,  # this and the penalty stand in some models' generation configuration: not the policy's distribution
            repetition_penalty=1.0,
            logits_processor=self._processors(seeds, settings, max_new_tokens, longest),
            eos_token_id=self.stop_ids,
            pad_token_id=self.pad_id,
            use_cache=True,
        )
        completions = [self._completion(row) for row in output[:, longest:].tolist()]
        # What the batch's longest prompt cut short is made again without it: a completion depends on its own prompt only.
        cut = [i for i, c in enumerate(completions) if c.finish_reason == "length" and room_N[i] > max_new_tokens]
        if cut:
            whole = self.complete([prompts[i] for i in cut], [seeds[i] for i in cut], settings)
            for i, completion in zip(cut, whole, strict=True):
                completions[i] = completion
        return completions

    def _processors(
        self, seeds: Sequence[int], settings: SamplingSettings, max_new_tokens: int, longest: int
    ) -> LogitsProcessorList:
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        processors = LogitsProcessorList()
        if settings.temperature == 0:
            return processors
        if settings.temperature != 1:
            processors.append(TemperatureLogitsWarper(settings.temperature))
        if settings.top_k:
            processors.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            processors.append(TopPLogitsWarper(settings.top_p))
        processors.append(SeededChoice(seeds, max_new_tokens, longest, self.model.device))
        return processors

    def _completion(self, ids: list[int]) -> Completion:
        end = next((i for i, token in enumerate(ids) if token in self.stop_ids), None)
        kept = ids if end is None else ids[:end]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(kept, text, "length" if end is None else "stop")
