"""The errors that a user can fix. Each message is one line: the place, what is wrong there, and what to do."""

from aftune.common.wording import one_line


class AftuneError(Exception):
    """Something failed: data, a model folder, the disk. The command line exits with status 1."""

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))  # whatever it quotes


class UsageError(AftuneError):
    """The command or the recipe is wrong. The command line exits with status 2."""

    exit_status = 2


class DataError(AftuneError):
    """A file or a record is not what it should be; the message starts with `file:line` or the record's id."""


class RepeatedIdError(DataError):
    """Two problems of a split have the same id, by which candidates and verdicts are matched to their problem."""


class StageError(AftuneError):
    """A stage cannot run: an earlier stage is missing, or the run directory cannot be used."""


class TrainingError(AftuneError):
    """Training cannot go on: its numbers are not finite."""
