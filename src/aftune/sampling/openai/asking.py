"""How a request is put to a server, and what its answer means."""

import math
from typing import Any, Literal

from aftune.sampling.interface import Completion, Request, SamplingSettings

Api = Literal["completions", "chat"]
Form = Literal["ids", "text", "messages"]
MOST_STOPS = 4  # stop strings that the protocol allows; the text is cut at all of them here
_SEEDS = 2**31  # what every server takes
# What some servers would add from a model's generation configuration: without it, responses are drawn from the policy itself.
_NEUTRAL: dict[str, dict[str, Any]] = {
    "vllm": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "return_token_ids": True},
    "sglang": {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    "llamacpp": {"top_k": 0, "min_p": 0.0, "repeat_penalty": 1.0},
}


def prompt_of(request: Request, form: Form) -> dict[str, Any]:
    """A request's prompt as one of the protocol's arguments."""
    if form == "ids":
        return {"prompt": request.prompt}
    if form == "messages":
        text = request.conversation
        return {"messages": [{"role": "user", "content": text}] if isinstance(text, str) else text}
    return {"prompt": request.conversation}


def arguments_of(
    request: Request, settings: SamplingSettings, form: Form, owner: str, extra: dict[str, Any], logprobs: bool = False
) -> dict[str, Any]:
    """All arguments but the model. owner: what serves it, as far as it says so; extra: further keys."""
    body = dict(_NEUTRAL.get(owner, {}))
    if settings.top_k:
        body["top_k"] = settings.top_k
    return prompt_of(request, form) | {
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": request.seed % _SEEDS,
        **({"stop": list(settings.stop[:MOST_STOPS])} if settings.stop else {}),
        **({"logprobs": True if form == "messages" else 1} if logprobs else {}),
        **({"extra_body": body | extra} if body | extra else {}),
    }


def text_of(answer: Any) -> str | None:
    """The text of an answer's first choice; None where there is none."""
    choices = getattr(answer, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(choice, "message", None)
    text = getattr(choice, "text", None) if message is None else getattr(message, "content", None)
    return text if isinstance(text, str) else None


def completion_of(answer: Any, settings: SamplingSettings, stop_ids: frozenset[int]) -> Completion:
    """The completion in an answer that has a text. What did not end by itself counts as cut."""
    choice, text = answer.choices[0], text_of(answer) or ""
    reason = getattr(choice, "finish_reason", None)
    cut = min((place for place in map(text.find, settings.stop) if place >= 0), default=None)
    ids = getattr(choice, "token_ids", None)
    known = list(ids) if cut is None and isinstance(ids, list) and all(map(_is_id, ids)) else None
    while known and known[-1] in stop_ids:
        known.pop()
    usage = getattr(answer, "usage", None)
    counted = {name: getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")}
    logprobs = _logprobs(choice) if cut is None else []
    return Completion(
        token_ids=known or None,
        text=text if cut is None else text[:cut],
        finish_reason="stop" if cut is not None or reason == "stop" else "length",
        told={name: number for name, number in counted.items() if isinstance(number, int)}
        | ({"logprob": math.fsum(logprobs), "logprob_tokens": len(logprobs)} if logprobs else {}),
    )


def _is_id(token: Any) -> bool:
    return type(token) is int and 0 <= token < 2**31


def _logprobs(choice: Any) -> list[float]:
    """Those of the tokens of a choice; empty where it has none, or not of all."""
    given = getattr(choice, "logprobs", None)
    found, tokens = getattr(given, "token_logprobs", None), getattr(given, "content", None)
    if not found:
        found = [getattr(token, "logprob", None) for token in tokens] if isinstance(tokens, list) else []
    known = isinstance(found, list) and all(isinstance(value, float) and math.isfinite(value) for value in found)
    return list(found) if known else []
