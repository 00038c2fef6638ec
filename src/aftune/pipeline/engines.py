"""The engine that a recipe's section asks for, with the model of a stage."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aftune.common.cluster import Places
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
    from aftune.sampling.vllm import VllmEngine, VllmSettings

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
        base, adapter = loading.resolve(model.name), Path(folder)
        rank = context.recipe.adapter.rank
        settings = replace(settings, model=base, revision=model.revision, adapter=adapter, rank=rank)
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
    from aftune.sampling.ray import RayEngine

    of_worker = section.model_copy(update={"engine": EngineSection(kind=section.engine.engine, extra=section.engine.extra)})
    batch = math.ceil(section.batch_size / num_candidates) * num_candidates  # whole problems
    return RayEngine(partial(_MAKERS[section.engine.engine], context, stage, of_worker), batch, places_of(section.engine))


def places_of(engine: EngineSection) -> Places:
    """The workers that a recipe wants on a cluster."""
    return Places(None if engine.workers == "auto" else engine.workers, engine.gpus_per_worker, engine.timeout)


def _stop_ids(context: Context) -> frozenset[int]:
    model = context.recipe.model
    return frozenset([context.end_id, *loading.configured_stop_ids(model.name, **model.load_options)])


_MAKERS = {"transformers": _transformers, "vllm": _vllm, "openai": _openai, "ray": _ray}
