"""The errors of aftune: whatever it raises on purpose is an `AftuneError`, and an error of one of Python's own kinds too.

    AftuneError
    ├── UsageError (ValueError)                        an argument, the command or the recipe is wrong
    │   ├── NotFoundError (FileNotFoundError)          a recipe or a run that an argument names is not there
    │   └── MissingPackageError (ImportError)          install what the message names
    ├── DataError (ValueError)                         a file or a record is not what it should be
    │   ├── MissingFileError (FileNotFoundError)       data, or a model's files, are not there
    │   ├── RepeatedIdError                            two problems have one id
    │   └── UnansweredError                            a server did not answer some requests
    ├── HubError (ConnectionError)                     the Hub cannot be reached, or refuses
    ├── StageError (RuntimeError)                      a stage cannot run or has failed
    └── TrainingError (RuntimeError)                   training diverged

Records are pydantic models: a field that does not fit raises `pydantic.ValidationError`, a `ValueError` too.
"""

from aftune.common.errors import (
    AftuneError,
    DataError,
    HubError,
    MissingFileError,
    MissingPackageError,
    NotFoundError,
    RepeatedIdError,
    StageError,
    TrainingError,
    UnansweredError,
    UsageError,
)

__all__ = [
    "AftuneError",
    "DataError",
    "HubError",
    "MissingFileError",
    "MissingPackageError",
    "NotFoundError",
    "RepeatedIdError",
    "StageError",
    "TrainingError",
    "UnansweredError",
    "UsageError",
]
