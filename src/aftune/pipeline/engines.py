"""The engine that a recipe's section asks for, with the model of a stage."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from aftune.models import loading
from aftune.models.adapters import has_adapter
from aftune.pipeline.context import Context
from aftune.prompts.encoding import encode_prompt
from aftune.recipe import EngineSection, SamplingSection
from aftune.sampling import Engine, TransformersEngine


@contextmanager
def engine_of(context: Context, stage: str, section: SamplingSection, num_candidates: int = 1) -> Iterator[Engine]:
    """Within the block, the engine; afterwards what it held is given back. num_candidates: wanted of each problem."""
    engine: Any = _MAKERS[section.engine.kind](context, stage, section, num_candidates)
    try:
        yield engine
    finally:
        if hasattr(engine, "close"):
            engine.close()


def _transformers(context: Context, stage: str, section: SamplingSection, num_candidates: int = 1) -> Engine:
    return TransformersEngine(context.load_policy(stage), context.tokenizer, section.batch_size)


def _vllm(context: Context, stage: str, section: SamplingSection, num_candidates: int = 1) -> Engine:
    from aftune.sampling.vllm import VllmEngine, VllmSettings, with_adapter

    model = context.recipe.model
    folder = loading.resolve(context.policy_folder(stage))
    settings = VllmSettings(
        model=folder,
        revision=model.revision if stage == "base" else None,
        precision=model.precision,
        context=context.context_length,
        stop_ids=_stop_ids(context),
        batch_size=section.batch_size,
        logprobs=section.engine.logprobs,
        options=tuple(section.engine.extra.items()),
    )
    if has_adapter(Path(folder)):
        base = VllmSettings(**vars(settings) | {"model": loading.resolve(model.name), "revision": model.revision})
        return VllmEngine(with_adapter(base, Path(folder), context.recipe.adapter.rank))
    return VllmEngine(settings)


def _openai(context: Context, stage: str, section: SamplingSection, num_candidates: int = 1) -> Engine:
    from aftune.sampling.openai.engine import OpenAIEngine
    from aftune.sampling.openai.manner import Own
    from aftune.sampling.openai.server import ServerSettings

    engine = section.engine
    settings = ServerSettings(
        base_url=str(engine.base_url),
        model=engine.model,
        key=os.environ.get(engine.key_variable),
        timeout=engine.timeout,
        attempts=engine.attempts,
        extra=engine.extra,
        logprobs=engine.logprobs,
    )
    api = engine.api
    if api == "auto":
        api = "chat" if context.recipe.prompt.style == "chat" else "completions"
    own = Own(lambda text: len(encode_prompt(context.tokenizer, text)), _stop_ids(context)) if engine.same_tokenizer else None
    return OpenAIEngine(settings, api, engine.concurrency, own)


def _ray(context: Context, stage: str, section: SamplingSection, num_candidates: int = 1) -> Engine:
    from aftune.sampling.ray import RayEngine, RaySettings

    engine = section.engine
    of_worker = section.model_copy(update={"engine": EngineSection(kind=engine.engine)})
    settings = RaySettings(
        batch=math.ceil(section.batch_size / num_candidates) * num_candidates,  # whole problems
        workers=None if engine.workers == "auto" else engine.workers,
        gpus_per_worker=engine.gpus_per_worker,
    )
    return RayEngine(partial(_MAKERS[engine.engine], context, stage, of_worker), settings)


def _stop_ids(context: Context) -> frozenset[int]:
    model = context.recipe.model
    return frozenset([context.end_id, *loading.configured_stop_ids(model.name, **model.load_options)])


_MAKERS = {"transformers": _transformers, "vllm": _vllm, "openai": _openai, "ray": _ray}
