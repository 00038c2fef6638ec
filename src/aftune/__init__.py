"""aftune: alignment fine-tuning (AFT) of language models that reason. The heavy parts load when they are first used."""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from aftune import errors

__version__ = "0.1.0"

# transformers imports it where it is installed, and it warns of kernels that nothing here needs.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

if TYPE_CHECKING:
    from aftune.api.alignment import align
    from aftune.api.candidates import sample
    from aftune.api.comparison import compare
    from aftune.api.groups import label
    from aftune.api.metrics import evaluate
    from aftune.api.problems import load_problems
    from aftune.api.vft import sft
    from aftune.records import Candidate, Feedback, Group, Problem
    from aftune.training import AlignmentConfig, AlignmentTrainer

_HOMES = {
    "AlignmentConfig": "aftune.training",
    "AlignmentTrainer": "aftune.training",
    "Candidate": "aftune.records",
    "Feedback": "aftune.records",
    "Group": "aftune.records",
    "Problem": "aftune.records",
    "align": "aftune.api.alignment",
    "compare": "aftune.api.comparison",
    "evaluate": "aftune.api.metrics",
    "label": "aftune.api.groups",
    "load_problems": "aftune.api.problems",
    "sample": "aftune.api.candidates",
    "sft": "aftune.api.vft",
}
__all__ = [
    "AlignmentConfig",
    "AlignmentTrainer",
    "Candidate",
    "Feedback",
    "Group",
    "Problem",
    "__version__",
    "align",
    "compare",
    "errors",
    "evaluate",
    "label",
    "load_problems",
    "sample",
    "sft",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'aftune' has no attribute {name!r}")
