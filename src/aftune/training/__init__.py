"""Training on groups."""

from aftune.training.config import AlignmentConfig
from aftune.training.trainer import AlignmentTrainer

__all__ = ["AlignmentConfig", "AlignmentTrainer"]
