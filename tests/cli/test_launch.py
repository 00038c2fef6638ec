"""Which of several processes ended a run."""

import signal

import pytest

from aftune.cli.launch import culprit
from aftune.pipeline.processes import SAID_NOTHING


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({0: SAID_NOTHING, 1: -signal.SIGKILL}, (1, -signal.SIGKILL)),  # both had ended when the launcher looked
        ({0: -signal.SIGTERM, 1: -signal.SIGKILL}, (1, -signal.SIGKILL)),  # the launcher stopped the first
        ({0: SAID_NOTHING, 1: -signal.SIGTERM}, (1, -signal.SIGTERM)),  # somebody else stopped the second
        ({0: 1, 1: -signal.SIGKILL}, (0, 1)),  # the first told its error; the second did not end in time
        ({0: 1, 1: SAID_NOTHING}, (0, 1)),
        ({0: SAID_NOTHING, 1: 2}, (1, 2)),
    ],
)
def test_the_process_that_the_others_ended_for(statuses: dict[int, int], expected: tuple[int, int]) -> None:
    assert culprit(statuses) == expected
