"""Engines that turn prompts into responses. An engine knows no task."""

from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings
from aftune.sampling.transformers.engine import TransformersEngine

__all__ = ["Completion", "Engine", "Request", "SamplingSettings", "TransformersEngine"]
