"""Worker processes that compare expressions, with limits on time and memory; one that does not finish is replaced."""

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO

from aftune.answers.verdicts import TimedOut
from aftune.common.errors import StageError
from aftune.common.extras import needed

CPU_SECONDS = 0.7  # of processor time for a comparison, by the worker's own alarm: the machine's load does not matter
SECOND_TRY = 2.0  # times as much for a comparison that did not finish, in a new worker
MEGABYTES = 1024  # of address space, of which a worker itself takes a third
_REMEMBERED = 4096  # pairs
_START_SECONDS = 600.0  # by the clock, as the next one: only a worker that uses no processor time ever reaches them
_STUCK_SECONDS = 600.0
_RECYCLE_AFTER = 1000  # comparisons, so that the libraries' caches do not grow for ever


class _Worker:
    """A process that compares; it belongs to the process that started it, not to forks of that process."""

    def __init__(self, megabytes: int) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "aftune.answers.worker", str(megabytes)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self.owner = os.getpid()
        self.ready = False
        self.done = 0

    @property
    def usable(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def wait_until_ready(self) -> None:
        if not self.ready and self.reply(_START_SECONDS) != "ready":
            self.close()
            raise StageError(
                f"the process that compares expressions did not start; see: {sys.executable} -m aftune.answers.worker 1024"
            )
        self.ready = True

    def ask(self, answer: str, gold: str, seconds: float) -> str | None:
        """The reply; None where the worker ended without one, as it does after `seconds` of processor time."""
        request = json.dumps({"answer": answer, "gold": gold, "seconds": seconds}) + "\n"
        try:
            _pipe(self.process.stdin).write(request.encode("ascii"))
            _pipe(self.process.stdin).flush()
        except BrokenPipeError:
            return None
        self.done += 1
        return self.reply(_STUCK_SECONDS)

    def reply(self, seconds: float) -> str | None:
        output = _pipe(self.process.stdout)
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

    def close(self) -> None:
        if self.owner != os.getpid():
            return
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                _pipe(pipe).close()


class _Lane:
    """A worker process, started when first needed, and a spare one from the time that it had to be replaced. For one thread at a
    time."""

    def __init__(self, megabytes: int) -> None:
        self.megabytes = megabytes
        self.worker: _Worker | None = None
        self._next: _Worker | None = None

    def ask(self, answer: str, gold: str, seconds: float) -> str | None:
        if self.worker is None or not self.worker.usable:
            self._replace()
        worker = self.worker
        assert worker is not None
        worker.wait_until_ready()
        reply = worker.ask(answer, gold, seconds)
        if reply is None or reply == "memory" or worker.done >= _RECYCLE_AFTER:
            self._replace()
            if self._next is None:
                self._next = self._start()
        return reply

    def _replace(self) -> None:
        """Ends the worker and takes the spare one, or a new one."""
        old, self.worker = self.worker, None
        if old is not None:
            old.close()
        spare, self._next = self._next, None
        self.worker = spare if spare is not None and spare.usable else self._start()

    def _start(self) -> _Worker:
        needed("math_verify", extra="math", purpose="a comparison of answers of kind math")
        return _Worker(self.megabytes)

    def close(self) -> None:
        for worker in (self.worker, self._next):
            if worker is not None:
                worker.close()
        self.worker = self._next = None


class Checker:
    """Compares expressions for any number of threads: each that waits for a comparison has a worker process of its own."""

    def __init__(self, cpu_seconds: float = CPU_SECONDS, megabytes: int = MEGABYTES) -> None:
        self.cpu_seconds, self.megabytes = cpu_seconds, megabytes
        self._lock = threading.Lock()
        self._lanes: list[_Lane] = []
        self._idle: list[_Lane] = []
        self._known: dict[tuple[str, str], bool | str] = {}  # candidates of a problem often give the same answer

    def equal(self, answer: str, gold: str) -> bool:
        """Whether two expressions are equal; raises TimedOut for a comparison over its limits and MissingPackageError
        without math-verify."""
        with self._lock:
            known = self._known.get((answer, gold))
        if known is None:
            known = self._compare(answer, gold)
            with self._lock:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[answer, gold] = known
        if isinstance(known, str):
            raise TimedOut(known)
        return known

    def _compare(self, answer: str, gold: str) -> bool | str:
        """The outcome, or why there is none; a comparison that did not finish is tried once more, with more time."""
        with self._lane() as lane:
            reply = lane.ask(answer, gold, self.cpu_seconds) or lane.ask(answer, gold, SECOND_TRY * self.cpu_seconds)
        if reply is None:
            return f"not finished within {SECOND_TRY * self.cpu_seconds:g} s of computing"
        return f"more than {self.megabytes} MB" if reply == "memory" else reply == "equal"

    @contextlib.contextmanager
    def _lane(self) -> Iterator[_Lane]:
        with self._lock:
            if not self._idle:
                self._lanes.append(_Lane(self.megabytes))
                self._idle.append(self._lanes[-1])
            lane = self._idle.pop()
        try:
            yield lane
        finally:
            with self._lock:
                self._idle.append(lane)

    @property
    def process_ids(self) -> list[int]:
        """Of the workers."""
        return [lane.worker.process.pid for lane in self._lanes if lane.worker is not None]

    def close(self) -> None:
        """Ends the processes; the next comparison starts another."""
        for lane in self._lanes:
            lane.close()

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


_shared: Checker | None = None
_shared_lock = threading.Lock()


def shared_checker() -> Checker:
    """The checker that everything in this process shares, unless it has its own."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Checker()
            atexit.register(_shared.close)
        return _shared
