"""Worker processes that compare expressions, each answer within its time and memory, and are replaced when one does not end."""

import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
import time
from typing import IO

from aftune.answers.verdicts import TimedOut
from aftune.errors import UsageError

CPU_SECONDS = 0.7  # a comparison; the machine's load does not count
WALL_SECONDS = 1.0
MEGABYTES = 1024  # of address space: a worker itself takes a third
_REMEMBERED = 4096  # pairs
_START_SECONDS = 60.0
_RECYCLE_AFTER = 1000  # comparisons, so that caches of libraries do not grow for ever


class Checker:
    """One worker process, started when first needed. Safe to share between threads: they take turns."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS, wall_seconds: float = WALL_SECONDS, megabytes: int = MEGABYTES) -> None:
        self.cpu_seconds, self.wall_seconds, self.megabytes = cpu_seconds, wall_seconds, megabytes
        self.lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._ready = False
        self._done = 0
        self._known: dict[tuple[str, str], bool | str] = {}  # candidates of a problem often give the same answer

    def equal(self, answer: str, gold: str) -> bool:
        """Whether two expressions are equal; raises TimedOut for a comparison over its limits and UsageError without
        math-verify."""
        with self.lock:
            if (answer, gold) not in self._known:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[answer, gold] = self._compare(answer, gold)
            known = self._known[answer, gold]
        if isinstance(known, str):
            raise TimedOut(known)
        return known

    def _compare(self, answer: str, gold: str) -> bool | str:
        """The outcome, or why there is none."""
        process = self._running()
        request = json.dumps({"answer": answer, "gold": gold}) + "\n"
        try:
            _pipe(process.stdin).write(request.encode("ascii"))
            _pipe(process.stdin).flush()
            reply = self._reply(self.wall_seconds)
        except BrokenPipeError:
            reply = None
        if reply is None:
            self._restart()
            return f"no end within {self.cpu_seconds:g} s of computing"
        self._done += 1
        if reply == "memory" or self._done >= _RECYCLE_AFTER:
            self._restart()
        if reply == "memory":
            return f"more than {self.megabytes} MB"
        return reply == "equal"

    def close(self) -> None:
        """Ends the process; the next comparison starts another."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                _pipe(pipe).close()
            except BrokenPipeError:
                pass

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is not None:
            self.close()
        if self._process is None or self._owner != os.getpid():  # also in a forked child, which must not share the pipes
            self._start()
        if not self._ready:
            if self._reply(_START_SECONDS) != "ready":
                self.close()
                raise RuntimeError(f"the worker that compares expressions did not start; try: {sys.executable} -m aftune.answers.worker 1 1024")
            self._ready = True
        assert self._process is not None
        return self._process

    def _start(self) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise UsageError("answers of kind math need math-verify, which is not installed; pip install 'aftune[math]'")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "aftune.answers.worker", str(self.cpu_seconds), str(self.megabytes)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._owner, self._ready, self._done = os.getpid(), False, 0

    def _restart(self) -> None:
        """A new process at once: it starts while the caller does other things."""
        self.close()
        self._start()

    def _reply(self, seconds: float) -> str | None:
        assert self._process is not None
        output = _pipe(self._process.stdout)
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                return None
            piece = os.read(output.fileno(), 4096)
            if not piece:
                return None
            line += piece
        return str(json.loads(line))


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


_shared: Checker | None = None
_shared_lock = threading.Lock()


def shared_checker() -> Checker:
    """The worker of this process for single comparisons."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Checker()
        return _shared
