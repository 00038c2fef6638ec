"""Engines that turn prompts into responses. An engine knows no task.

A new engine is a file or folder here. May import prompts, models, records and common.
"""

from aftune.sampling.interface import Completion, Engine, Request, SamplingSettings
from aftune.sampling.transformers.engine import TransformersEngine

__all__ = ["Completion", "Engine", "Request", "SamplingSettings", "TransformersEngine"]
