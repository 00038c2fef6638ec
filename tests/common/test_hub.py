"""A Hub that does not answer costs one question, and what is in the cache still loads."""

import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator
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


def test_a_revision_has_its_own_files(
    questions: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_llama: Callable[..., Any]
) -> None:
    """Branches and tags by name, commits by their hash; each with its model, tokenizer and settings."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--some--model"
    (folder / "refs").mkdir(parents=True)
    for name, digit, size in (("main", "0", 32), ("v1", "1", 16)):
        snapshot = folder / "snapshots" / (digit * 40)
        shutil.copytree(loading.resolve(loading.BUNDLED), snapshot)
        model = make_llama(hidden_size=size)
        model.generation_config.eos_token_id = size
        model.save_pretrained(snapshot)
        (folder / "refs" / name).write_text(digit * 40)
    (folder / "snapshots" / ("1" * 40) / "chat_template.jinja").write_text("of v1")

    for revision, size in ((None, 32), ("main", 32), ("v1", 16), ("1" * 40, 16)):
        section = loading.ModelSection(name="some/model", revision=revision, device="cpu", precision="float32")
        options = section.load_options
        assert loading.load_model(section.name, section).config.hidden_size == size
        config = loading.load_config(section.name, **options)
        assert config is not None
        assert config.hidden_size == size
        assert loading.configured_stop_ids(section.name, **options) == [size]
        assert (loading.load_tokenizer(section.name, **options).chat_template == "of v1") == (size == 16)
        assert hub.cached_commit(section.name, "model", revision) == ("1" if size == 16 else "0") * 40
    missing = loading.ModelSection(name="some/model", revision="v2", device="cpu")
    with pytest.raises(DataError, match=r"the model of 'some/model' at revision 'v2' is not on this machine, and the Hub at .*"):
        loading.load_model(missing.name, missing)
    assert hub.cached_commit("some/model", "model", "v2") is None


def test_local_folders_ask_nobody(questions: list[int]) -> None:
    loading.load_tokenizer(loading.BUNDLED)
    assert questions == []


def test_data_sets_of_the_hub(questions: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*arguments: Any, **options: Any) -> Any:
        raise ConnectionError("Couldn't reach 'openai/gsm8k'\non the Hub")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset, __spec__=object()))
    message = r"openai/gsm8k could not be loaded from the Hub: the Hub at http://127\.0\.0\.1:\d+ cannot be reached .*give data="
    with pytest.raises(AftuneError, match=message):
        hub_rows("gsm8k", "openai/gsm8k", "main", "train")
    assert len(questions) == 1
