"""A stand-in for the Hub on this machine: it takes models and remembers what it was sent."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """url: of the stand-in. created: the repositories that were asked for. files: by repository and path. tokens: that came along.
    public: the repositories that are not private. refuses: whether it answers that the token has no rights."""

    url: str = ""
    created: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tokens: set[str | None] = field(default_factory=set)
    public: set[str] = field(default_factory=set)
    refuses: bool = False


@contextmanager
def hub_stand_in() -> Iterator[Received]:
    """Serves until the block ends."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer({})

        def do_GET(self) -> None:
            repository = self.path.removeprefix("/api/models/")
            self._answer({"id": repository, "private": repository not in received.public})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.tokens.add(self.headers["Authorization"])
            *_, owner, name, what, _ = ["", "", *self.path.split("/")]
            if received.refuses:
                self._answer({"error": "You don't have the rights"}, 403)
            elif self.path == "/api/repos/create":
                received.created.append(json.loads(body))
                self._answer({"url": f"{received.url}/{received.created[-1]['organization']}/{received.created[-1]['name']}"})
            elif what == "preupload":
                paths = [file["path"] for file in json.loads(body)["files"]]
                self._answer({"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]})
            elif what == "commit":
                lines = [json.loads(line)["value"] for line in body.splitlines() if json.loads(line)["key"] == "file"]
                received.files[f"{owner}/{name}"] = {line["path"]: base64.b64decode(line["content"]) for line in lines}
                self._answer({"commitUrl": f"{received.url}/{owner}/{name}/commit/main", "commitOid": "0" * 40, "hookOutput": ""})
            else:  # /api/validate-yaml
                self._answer({"errors": [], "warnings": []})

        def _answer(self, value: Any, status: int = 200) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content * (self.command != "HEAD"))

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield received
        server.shutdown()
