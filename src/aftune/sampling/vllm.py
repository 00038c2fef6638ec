"""vLLM in this process (`vllm.LLM`): prompts as token ids, a seed for each request, adapters without merging."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aftune.common.errors import StageError
from aftune.common.extras import needed
from aftune.sampling.interface import Completion, Request, SamplingSettings

_SEEDS = 2**63  # those that vLLM takes are below


@dataclass(frozen=True)
class VllmSettings:
    """model: a folder or a name on the Hub. adapter: the folder of a LoRA adapter of that model, and its rank. context: the longest
    sequence, in tokens; stop_ids: the tokens that end a response; logprobs: whether completions tell theirs; options: further
    arguments of `vllm.LLM`."""

    model: str
    precision: str
    context: int
    stop_ids: frozenset[int]
    batch_size: int = 256
    revision: str | None = None
    adapter: Path | None = None
    rank: int = 16
    logprobs: bool = False
    options: tuple[tuple[str, Any], ...] = ()


class VllmEngine:
    """Starts vLLM at once, and holds its memory until `close`. Prompts of a problem share their prefix in its cache."""

    separate = False
    needs_ids = True

    def __init__(self, settings: VllmSettings) -> None:
        needed("vllm", extra="vllm", purpose="engine: vllm")
        import vllm
        from vllm.platforms import current_platform

        self.settings = settings
        self.batch_size = settings.batch_size
        self.origin: dict[str, Any] = {"engine": "vllm", "version": vllm.__version__}
        arguments: dict[str, Any] = {
            "model": settings.model,
            "revision": settings.revision,
            "dtype": settings.precision,
            "max_model_len": settings.context,
            "max_num_seqs": settings.batch_size,
            "enable_prefix_caching": True,
            "generation_config": "vllm",  # nothing from the model's own: responses are drawn from the policy itself
            "trust_remote_code": False,
            "enable_lora": settings.adapter is not None,
            **({} if settings.adapter is None else {"max_lora_rank": settings.rank}),
            **(_whole_prompts(settings.context) if current_platform.is_cpu() else {}),
        }
        with _its_errors("does not start"):
            self.llm: Any = vllm.LLM(**arguments | dict(settings.options))

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)`, all when the last is finished; each is cut where the model's context ends."""
        from vllm import TokensPrompt

        if not requests:
            return
        prompts = [TokensPrompt(prompt_token_ids=request.prompt) for request in requests]
        parameters = [self._parameters(request, settings) for request in requests]
        with _its_errors("failed"):
            outputs = self.llm.generate(prompts, parameters, lora_request=self._adapter(), use_tqdm=False)
        for index, output in enumerate(outputs):
            yield index, self._completion(output.outputs[0], settings)

    def _parameters(self, request: Request, settings: SamplingSettings) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k or -1,
            seed=request.seed % _SEEDS if settings.temperature else None,
            max_tokens=max(1, min(settings.max_new_tokens, self.settings.context - len(request.prompt))),
            stop=list(settings.stop) or None,
            stop_token_ids=sorted(self.settings.stop_ids),
            logprobs=0 if self.settings.logprobs else None,
        )

    def _adapter(self) -> Any:
        if self.settings.adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest("policy", 1, str(self.settings.adapter))

    def _completion(self, output: Any, settings: SamplingSettings) -> Completion:
        ids, stopped = list(output.token_ids), output.finish_reason == "stop"
        cut = isinstance(output.stop_reason, str) and output.stop_reason in settings.stop  # the ids go beyond the text
        while stopped and ids and ids[-1] in self.settings.stop_ids:
            ids.pop()
        told = (
            {}
            if output.cumulative_logprob is None or cut
            else {
                "logprob": output.cumulative_logprob,
                "logprob_tokens": len(output.token_ids),
            }
        )
        return Completion(None if cut else ids, output.text, "stop" if stopped else "length", told)

    def close(self) -> None:
        """Ends vLLM's processes and gives their memory back."""
        core = getattr(getattr(self.llm, "llm_engine", None), "engine_core", None)
        if core is not None:
            core.shutdown()
        del self.llm
        gc.collect()


def _whole_prompts(context: int) -> dict[str, Any]:
    """For a CPU, where vLLM 0.32 dies of a seeded request whose prompt it takes in pieces: `CPU Generator does not use offset`."""
    return {"enable_chunked_prefill": False, "max_num_batched_tokens": max(4096, context)}


@contextmanager
def _its_errors(what: str) -> Iterator[None]:
    """Raises StageError for whatever vLLM raises, which has many kinds of errors, and tells the cause in what it prints."""
    try:
        yield
    except Exception as error:
        raise StageError(
            f"engine vllm {what}: {error}; look above for what vLLM printed, set arguments of its own with engine.extra, "
            "or use another engine"
        ) from error
