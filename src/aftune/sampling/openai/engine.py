"""The engine that asks a server."""

import asyncio
import queue
from collections.abc import Iterator, Sequence
from typing import Any

from aftune.common.errors import UnansweredError
from aftune.common.wording import counted
from aftune.sampling.interface import Completion, Request, SamplingSettings
from aftune.sampling.openai.asking import Api
from aftune.sampling.openai.background import in_background
from aftune.sampling.openai.manner import Manner, Own, get_to_know
from aftune.sampling.openai.server import PassingError, RefusedError, Server, ServerSettings

Found = queue.Queue[tuple[int, Completion | Exception]]
_NAMED = 3  # requests without an answer that a message names, and reasons


class OpenAIEngine:
    """Asks for each completion by itself, `concurrency` of them at a time. Seeds go along; what they do is up to the server.

    own: None for a server whose tokens may be others, such as a teacher. Before the first request it is compared with ours: a
    prompt that does not have as many tokens there is refused, since it is not the prompt that training and scoring see.
    """

    separate = True

    def __init__(self, server: ServerSettings, api: Api = "completions", concurrency: int = 32, own: Own | None = None) -> None:
        self.server, self.api, self.own = server, api, own
        self.batch_size, self.needs_ids = concurrency, own is not None
        self.origin: dict[str, Any] = {"engine": "openai", "model": server.model}
        self._manner: Manner | None = None

    def complete(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """`(index of the request, completion)` as they come. Raises UsageError where no request can succeed, and UnansweredError
        at the end where some did not."""
        if not requests:
            return
        found: Found = queue.Queue()
        unanswered: dict[str, list[str]] = {}
        with in_background(self._all(requests, settings, found)):
            for _ in requests:
                index, outcome = found.get()
                if isinstance(outcome, Completion):
                    yield index, outcome
                elif isinstance(outcome, PassingError | RefusedError):
                    unanswered.setdefault(str(outcome), []).append(requests[index].name)
                else:
                    raise outcome
        if unanswered:
            raise UnansweredError(_told(self.server.base_url, unanswered))

    async def _all(self, requests: Sequence[Request], settings: SamplingSettings, found: Found) -> None:
        try:
            async with Server(self.server) as server:
                if self._manner is None:
                    self._manner = await get_to_know(server, self.api, self.own, requests[0], settings)
                    self.origin = self.origin | {"model": self._manner.model}
                manner, waiting = self._manner, iter(range(len(requests)))

                async def work() -> None:
                    for index in waiting:  # shared by all workers
                        try:
                            found.put((index, await manner.ask(server, requests[index], settings, self.own)))
                        except (PassingError, RefusedError) as error:
                            found.put((index, error))

                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.batch_size, len(requests))):
                        group.create_task(work())
        except* Exception as errors:
            found.put((0, _first(errors)))


def _told(place: str, unanswered: dict[str, list[str]]) -> str:
    number = sum(map(len, unanswered.values()))
    told = [f"{', '.join([*names[:_NAMED], *(['others'] * (len(names) > _NAMED))])}: {why}" for why, names in unanswered.items()]
    shown = "; ".join([*told[:_NAMED], *([f"{len(told) - _NAMED} more reasons"] * (len(told) > _NAMED))])
    have = "has" if number == 1 else "have"
    return f"{place}: {counted(number, 'request')} {have} no answer ({shown}); the others are kept, run again to ask for these"


def _first(errors: BaseException) -> Exception:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors if isinstance(errors, Exception) else RuntimeError(str(errors))
