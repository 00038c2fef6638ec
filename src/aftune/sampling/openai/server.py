"""One model of a server: asking it again where that helps, and saying what is wrong where it does not."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any

import openai
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from aftune.common.errors import UsageError
from aftune.sampling.openai.asking import text_of

_SURROGATE = re.compile(r"[\ud800-\udfff]")
LONGEST_WAIT = 60.0  # seconds between two attempts, unless the server asks for more


@dataclass(frozen=True)
class ServerSettings:
    """Where a server is and how it is asked. model: its name there, None for the only one that it lists. key: never printed.

    timeout: seconds for an answer. attempts: how often a request is made that fails for a reason that may pass. first_wait:
    seconds, about, before the second attempt; doubled for each further one. extra: further keys of a request. logprobs: whether
    completions tell theirs.
    """

    base_url: str
    model: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout: float = 600.0
    attempts: int = 8
    first_wait: float = 1.0
    extra: dict[str, Any] = field(default_factory=dict)
    logprobs: bool = False


class PassingError(Exception):
    """What may be over at the next attempt. wait: seconds that the server asks for."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(Exception):
    """The server does not take this request."""


class Server:
    """Within `async with`, a connection. Raises UsageError where no request could succeed: no such model, a key that is refused."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key=settings.key or "none",
            timeout=settings.timeout,
            max_retries=0,  # see `ask`
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),  # a key goes to no other host
        )

    async def __aenter__(self) -> "Server":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def models(self) -> dict[str, str]:
        """The models that it lists and who owns each, which tells what serves them; empty where it does not list them."""
        try:
            listed = [(model.id, model.owned_by) for model in (await self.client.models.list()).data]
        except openai.APIConnectionError as error:
            raise self.error(f"no server answers there ({_cause(error)}); start it, or correct the address") from error
        except openai.AuthenticationError as error:
            raise self._no_key(error) from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError):
            return {}
        return {name: owner if isinstance(owner, str) else "" for name, owner in listed if isinstance(name, str)}

    async def ask(self, api: str, arguments: dict[str, Any]) -> Any:
        """The answer of `completions` or `chat`, with a text. Raises RefusedError, or PassingError after the last attempt."""
        create = self.client.chat.completions.create if api == "chat" else self.client.completions.create
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(self.settings.attempts),
            retry=retry_if_exception_type(PassingError),
            wait=self._wait,
            reraise=True,
        ):
            with attempt:
                return await self._asked_once(create, arguments)
        raise AssertionError("tenacity ends with a result or an error")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_for = error.wait if isinstance(error, PassingError) else None
        return asked_for if asked_for is not None else wait_random_exponential(self.settings.first_wait, LONGEST_WAIT)(state)

    async def _asked_once(self, create: Any, arguments: dict[str, Any]) -> Any:
        try:
            # httpx's limit is one for each read; asyncio.wait_for could swallow the end of the run together with an answer.
            async with asyncio.timeout(self.settings.timeout):
                answer = await create(**arguments)
        except (TimeoutError, openai.APITimeoutError) as error:
            raise PassingError(f"no answer within {self.settings.timeout:g} s") from error
        except openai.APIConnectionError as error:
            raise PassingError(f"the connection failed ({_cause(error)})") from error
        except openai.APIStatusError as error:
            raise self._explained(error) from error
        except (openai.OpenAIError, ValueError, TypeError) as error:
            raise PassingError(f"the answer is not what the protocol says ({type(error).__name__})") from error
        self._check(answer, arguments["model"])
        return answer

    def _check(self, answer: Any, model: str) -> None:
        text = text_of(answer)
        if text is None:
            raise PassingError("the answer has no text")
        if _SURROGATE.search(text):
            raise PassingError("the answer's text holds half of a surrogate pair, which is not a character")
        said = getattr(answer, "model", None)
        if isinstance(said, str) and said and _last(said) not in _last(model) and _last(model) not in _last(said):
            raise PassingError(f"model {said!r:.80} answered instead of {model!r}")

    def _explained(self, error: openai.APIStatusError) -> Exception:
        status, text = error.status_code, self._without_key(_message(error))
        if status in (401, 403):
            return self._no_key(error)
        if status == 404:
            return self.error(f"the server has no such model or address ({text}); correct model or base_url")
        if 300 <= status < 400:
            place = error.response.headers.get("location", "elsewhere")
            return self.error(f"the server sends requests on to {place}; give that address if it is right")
        if status == 429 and "insufficient_quota" in text:
            return self.error(f"the account's quota is used up ({text})")
        if status in (408, 409, 425, 429) or status >= 500:
            return PassingError(f"status {status}: {text}", _retry_after(error))
        return RefusedError(f"status {status}: {text}")

    def _no_key(self, error: openai.APIStatusError) -> UsageError:
        given = "refuses the key" if self.settings.key else "wants a key, and the environment has none"
        return self.error(f"the server {given} (status {error.status_code}); set the variable of key_variable")

    def error(self, text: str) -> UsageError:
        """An error of this server."""
        return UsageError(f"{self.settings.base_url}: {text}")

    def _without_key(self, text: str) -> str:
        return text.replace(self.settings.key, "…") if self.settings.key else text


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].casefold()


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    said = body.get("message") or body.get("detail") if isinstance(body, dict) else None
    code = f"{body['code']}: " if isinstance(body, dict) and body.get("code") else ""
    return re.sub(r"\s+", " ", f"{code}{said or error.response.text}")[:300].strip() or "no message"


def _retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds, as far as the server names a plain number of them."""
    value = error.response.headers.get("retry-after", "")
    return float(value) if re.fullmatch(r"\d{1,4}(?:\.\d+)?", value) else None


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
