"""How far a comparison is, and how long it still takes if each run takes as long as those of its kind before it."""

from collections.abc import Mapping
from statistics import fmean

from aftune.common.progress import time_left
from aftune.common.wording import counted

Run = tuple[int, str | None]  # a seed, and a method or None for the shared stages


class Pace:
    """seconds: what each run of the comparison has taken, None where it is to do; jobs: how many run at a time."""

    def __init__(self, seconds: Mapping[Run, float | None], jobs: int) -> None:
        self.to_do = {run for run, taken in seconds.items() if taken is None}
        self.taken = {run: taken for run, taken in seconds.items() if taken is not None}
        self.jobs = jobs
        self.num_to_do = len(self.to_do)

    def ended(self, seed: int, name: str | None, seconds: float) -> None:
        self.to_do.discard((seed, name))
        self.taken[seed, name] = seconds

    def failed(self, seed: int, name: str | None) -> None:
        """Without the shared stages of a seed, none of its methods is run."""
        self.to_do -= {run for run in self.to_do if run[0] == seed and name in (None, run[1])}

    def position(self) -> str:
        """`2 of 12 runs done, about 20 min left`."""
        left = self._left()
        done = f"{self.num_to_do - len(self.to_do)} of {counted(self.num_to_do, 'run')} done"
        return done if left is None else f"{done}, about {time_left(left)} left"

    def _left(self) -> float | None:
        """Seconds; None while a kind of run has none that ended. The VFT model is of its own kind, since it is only measured."""
        left = 0.0
        for kind in ("shared", "measured", "trained"):
            ended = [taken for run, taken in self.taken.items() if _kind(run) == kind]
            number = sum(_kind(run) == kind for run in self.to_do)
            if number and not ended:
                return None
            left += number * fmean(ended or [0.0])
        return left / self.jobs


def _kind(run: Run) -> str:
    _, name = run
    return "shared" if name is None else "measured" if name == "vft" else "trained"
