"""A Hub that does not answer costs one question, and what is in the cache still loads."""

import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from aftune.common import hub
from aftune.common.errors import AftuneError, DataError
from aftune.models import loading
from aftune.tasks.published_files import hub_rows


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A place that hangs up on everybody, and a list that grows with every call."""
    server = socket.create_server(("127.0.0.1", 0))
    called: list[int] = []

    def hang_up() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            called.append(1)
            connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.trouble.cache_clear()
    yield called
    hub.trouble.cache_clear()
    server.close()


def test_one_question_and_one_line(questions: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    message = r"of 'nobody/nothing' is not on this machine, and the Hub at http://127\.0\.0\.1:\d+ cannot be reached"
    with pytest.raises(DataError, match=message) as caught:
        loading.load_tokenizer("nobody/nothing")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=message):
        loading.load_model("nobody/nothing", loading.ModelSection(device="cpu"))
    assert loading.configured_stop_ids("nobody/nothing") == []
    assert len(questions) == 1
    assert not constants.HF_HUB_OFFLINE  # of the program that uses the library


def test_what_is_in_the_cache_loads(questions: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--some--model"
    shutil.copytree(loading.resolve(loading.BUNDLED), folder / "snapshots" / ("0" * 40))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    assert len(loading.load_tokenizer("some/model")) == len(loading.load_tokenizer(loading.BUNDLED))
    assert len(questions) == 1


def test_local_folders_ask_nobody(questions: list[int]) -> None:
    loading.load_tokenizer(loading.BUNDLED)
    assert questions == []


def test_data_sets_of_the_hub(questions: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*arguments: Any, **options: Any) -> Any:
        raise ConnectionError("Couldn't reach 'openai/gsm8k'\non the Hub")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    message = r"openai/gsm8k could not be loaded from the Hub: the Hub at http://127\.0\.0\.1:\d+ cannot be reached .*give data="
    with pytest.raises(AftuneError, match=message):
        hub_rows("gsm8k", "openai/gsm8k", "main", "train")
    assert len(questions) == 1
