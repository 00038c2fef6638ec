"""The errors that a user can fix. Each message is one line: the place, what is wrong there, and what to do.

Each is also an error of Python's own kind, so that a program which knows nothing of aftune can tell them apart. `aftune.errors`
is their public place.
"""

from aftune.common.wording import one_line


class AftuneError(Exception):
    """Something failed: data, a model folder, the disk. The command line exits with status 1."""

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))  # whatever it quotes


class UsageError(AftuneError, ValueError):
    """An argument, the command or the recipe is wrong. The command line exits with status 2."""

    exit_status = 2


class NotFoundError(UsageError, FileNotFoundError):
    """A recipe or a run that an argument names is not there."""


class MissingPackageError(UsageError, ImportError):
    """A package that only some uses need is not installed; the message has the command that installs it."""


class DataError(AftuneError, ValueError):
    """A file or a record is not what it should be; the message starts with `file:line` or the record's id."""


class MissingFileError(DataError, FileNotFoundError):
    """A file or folder with data, or of a model, is not there."""


class RepeatedIdError(DataError):
    """Two problems of a split have the same id, by which candidates and verdicts are matched to their problem."""


class UnansweredError(DataError):
    """A server did not answer some requests. The answers that there are were kept, and the next run asks for the others alone."""


class HubError(AftuneError, ConnectionError):
    """The Hugging Face Hub cannot be reached, or refuses."""


class StageError(AftuneError, RuntimeError):
    """A stage cannot run or has failed: an earlier stage is missing, the run directory cannot be used, an engine has ended."""


class TrainingError(AftuneError, RuntimeError):
    """Training cannot go on: its numbers are not finite."""
