"""The process that compares expressions: reads a JSON request per line, replies with a line, and is killed when it takes too long.

    python -m aftune.answers.worker MEGABYTES

LaTeX is parsed by math-verify's grammar alone: its other parsers hand text to functions that evaluate Python. A request that
uses more CPU time than its `seconds` ends the process at once, even within one long multiplication: the alarm is not caught.
"""

import json
import os
import resource
import signal
import sys
from typing import Any


def main() -> None:
    megabytes = int(sys.argv[1])
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    from aftune.answers.symbolic import compare

    compare("x^2", "x")  # so that the libraries set up what they need at first use
    limit = megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.setrecursionlimit(3_000)
    replies.write('"ready"\n')
    replies.flush()
    for line in sys.stdin:
        request: Any = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, request["seconds"])
        try:
            reply = "equal" if compare(request["answer"], request["gold"]) else "different"
        except MemoryError:
            reply = "memory"
        except Exception:  # what cannot be parsed or compared is not shown to be equal
            reply = "different"
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
