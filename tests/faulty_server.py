"""A real server on the loopback that speaks OpenAI's protocol, and does whatever goes wrong with such servers when told to."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("429", "500", "half", "no choice", "wrong model", "hang", "close")
Body = dict[str, Any]


class FaultyServer(ThreadingHTTPServer):
    """answer: the text for a request's body. share: of requests that have each of `faults`. tokens: how it counts a prompt's.

    change: what becomes of the text of each answer. asked: bodies of all requests for a completion; given: how often each prompt
    and seed got an answer that was sent whole.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Callable[[Body], str], tokens: Callable[[Any], int] = len) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.tokens = answer, tokens
        self.models: list[str] | None = ["small"]
        self.owner = "test"
        self.faults: tuple[str, ...] = ()
        self.share = 0.0
        self.takes_ids = True
        self.usage = True
        self.change: Callable[[bytes], bytes] = lambda text: text
        self.logprobs: Callable[[str], list[float]] | None = None
        self.key: str | None = None
        self.asked: list[Body] = []
        self.given: Counter[tuple[str, int]] = Counter()
        self.seen = Counter[str]()
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()
        self._random = random.Random(0)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def fault(self) -> str:
        with self.lock:
            number = self._random.random()
        place = int(number / self.share) if self.share else len(self.faults)
        found = self.faults[place] if place < len(self.faults) else ""
        with self.lock:
            self.seen[found] += 1
        return found


@contextmanager
def running(server: FaultyServer) -> Iterator[FaultyServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.server.models is None:
            self._send(500, {"error": {"message": "offline"}})
        else:
            rows = [{"id": name, "object": "model", "created": 0, "owned_by": self.server.owner} for name in self.server.models]
            self._send(200, {"object": "list", "data": rows})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append(body)
            server.under_way += 1
            server.most_under_way = max(server.most_under_way, server.under_way)
        try:
            self._answer(body)
        finally:
            with server.lock:
                server.under_way -= 1

    def _answer(self, body: Body) -> None:
        server = self.server
        if server.key is not None and self.headers.get("Authorization") != f"Bearer {server.key}":
            self._send(401, {"error": {"message": f"Incorrect API key provided: {self.headers.get('Authorization')}"}})
            return
        if server.models is not None and body["model"] not in server.models:
            self._send(404, {"error": {"message": f"no model {body['model']}"}})
            return
        if isinstance(body.get("prompt"), list) and not server.takes_ids:
            self._send(400, {"error": {"message": "prompt: not a string"}})
            return
        fault = server.fault()
        if fault == "429":
            self._send(429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"})
            return
        if fault == "500":
            self._send(500, {"error": {"message": "out of memory"}})
            return
        if fault == "hang":
            time.sleep(1.0)
            self.close_connection = True
            return
        if fault == "close":
            self.close_connection = True
            self.connection.close()
            return
        chat = self.path.endswith("/chat/completions")
        prompt = body["messages"] if chat else body["prompt"]
        text = server.answer(body)
        choice: Body = {"index": 0, "finish_reason": "stop" if body["max_tokens"] > 1 else "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if body.get("logprobs") and server.logprobs:
            choice["logprobs"] = {"token_logprobs": server.logprobs(text)}
        answer: Body = {"id": "1", "object": "text_completion", "created": 0, "model": body["model"], "choices": [choice]}
        if server.usage:
            answer["usage"] = {"prompt_tokens": server.tokens(prompt), "completion_tokens": 3, "total_tokens": 0}
        if fault == "no choice":
            answer["choices"] = []
        if fault == "wrong model":
            answer["model"] = "another"
        self._send(200, answer, half=fault == "half")
        if not fault:
            with server.lock:
                server.given[json.dumps(prompt), body["seed"]] += 1

    def _send(self, status: int, body: Body, headers: dict[str, str] | None = None, half: bool = False) -> None:
        text = self.server.change(json.dumps(body).encode())
        text = text[: len(text) // 2] if half else text
        try:
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(text))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)
        except OSError:  # the client gave up
            self.close_connection = True
