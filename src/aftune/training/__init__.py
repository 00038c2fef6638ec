"""Training on groups: the trainer, its settings, batches and callbacks. It knows no data set.

May import groups, scoring, losses, models, prompts, records and common.
"""

from aftune.training.config import AlignmentConfig
from aftune.training.trainer import AlignmentTrainer

__all__ = ["AlignmentConfig", "AlignmentTrainer"]
