"""How a server is asked, found out before the first request; and whether its tokens are ours."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from aftune.common.errors import DataError
from aftune.common.wording import cut_short
from aftune.sampling.interface import Completion, Request, SamplingSettings
from aftune.sampling.openai.asking import Api, Form, arguments_of, completion_of
from aftune.sampling.openai.server import PassingError, RefusedError, Server

PROBE = "Ünïcode 漢字: 12345 + 678 = ?\n\n\tdef f(x): return x ** 2\n"


@dataclass(frozen=True)
class Own:
    """Our side of what a server is compared with: the number of tokens of a text as a prompt, and the ids that end a response."""

    count: Callable[[str], int]
    stop_ids: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Manner:
    """model: its name there. owner: what serves it, as far as it says so. form: what prompts are sent as."""

    api: Api
    model: str
    owner: str
    form: Form

    async def ask(self, server: Server, request: Request, settings: SamplingSettings, own: Own | None) -> Completion:
        """Raises RefusedError, or PassingError after the last attempt."""
        told = server.settings
        arguments = arguments_of(request, settings, self.form, self.owner, told.extra, told.logprobs)
        answer = await server.ask(self.api, {"model": self.model, **arguments})
        return completion_of(answer, settings, own.stop_ids if own else frozenset())


async def get_to_know(server: Server, api: Api, own: Own | None, request: Request, settings: SamplingSettings) -> Manner:
    """Asks for a token after a run's first prompt: as ids, or as what the server takes. Raises UsageError for a server that lists
    several models where none is named, refuses the prompt, or counts other tokens in it than we do, and DataError for one that does
    not answer."""
    model, listed = server.settings.model, await server.models()
    if model is None:
        if len(listed) != 1:
            found = cut_short(", ".join(list(listed)[:5]), 300) or "none"
            raise server.error(f"the server lists {len(listed)} models ({found}); name one in engine.model")
        model = next(iter(listed))
    manner = Manner(api, model, listed.get(model, ""), "messages" if api == "chat" else "text")
    first = replace(settings, max_new_tokens=1)
    if api == "completions" and own is not None:
        manner = await _with_ids(server, manner, own, request, first)
    if api == "completions" and manner.form == "text" and not isinstance(request.conversation, str):
        raise server.error("prompts in chat style are messages, which this server takes as such only; set engine.api=chat")
    try:
        await _compare(server, manner, own, request, first)
    except RefusedError as error:
        raise server.error(f"the server refuses the first request ({error})") from error
    except PassingError as error:
        place = server.settings.base_url
        raise DataError(f"{place}: the server does not answer the first request: {error}; look at its log") from error
    return manner


async def _with_ids(server: Server, manner: Manner, own: Own, request: Request, settings: SamplingSettings) -> Manner:
    """The manner with prompts as ids where the server takes them, else as it is."""
    with_ids = replace(manner, form="ids")
    try:
        await with_ids.ask(server, request, settings, own)
    except (RefusedError, PassingError):
        return manner
    return with_ids


async def _compare(server: Server, manner: Manner, own: Own | None, request: Request, settings: SamplingSettings) -> None:
    """Compares the numbers of tokens of the prompt, and of a text that vocabularies differ on: a number of ids says nothing."""
    answered = await manner.ask(server, request, settings, own)
    if own is None:
        return
    _check(server, answered, len(request.prompt), "the first prompt")
    if manner.api == "completions":
        probe = Request([], name="a probe", conversation=PROBE)
        answered = await replace(manner, form="text").ask(server, probe, settings, own)
        _check(server, answered, own.count(PROBE), repr(PROBE[:20]))


def _check(server: Server, answered: Completion, here: int, what: str) -> None:
    there = answered.told.get("prompt_tokens")
    if there is None:
        place = server.settings.base_url
        warnings.warn(f"{place} does not count tokens: whether it has our tokenizer is unknown", stacklevel=2)
    elif there != here:
        raise server.error(
            f"the server counts {there} tokens for {what}, which has {here} here{_guess(there - here)}; serve the model with its "
            "own tokenizer and chat template, or set engine.same_tokenizer=false"
        )


def _guess(more: float) -> str:
    if more == 1:
        return " (a second beginning-of-sequence token?)"
    return " (no beginning-of-sequence token?)" if more == -1 else " (another tokenizer, or a template that is applied twice?)"
