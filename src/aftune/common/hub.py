"""The Hugging Face Hub: whether it can be reached is checked once, within seconds.

Its client tries every file five times, with longer and longer pauses. Where the Hub does not answer at all, the client is made to
work as if this machine were offline: what is in its cache loads, and anything else fails at once.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

from huggingface_hub import constants, get_session
from huggingface_hub.file_download import REGEX_COMMIT_HASH, repo_folder_name

_PATIENCE = 8.0  # seconds for an answer of any kind


@contextmanager
def loading(source: str) -> Iterator[None]:
    """Wraps the loading of a local folder or a name on the Hub; where the Hub does not answer, a name loads only from the cache."""
    if Path(source).is_dir() or trouble() is None:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@cache
def trouble() -> str | None:
    """Why the Hub cannot be reached, as a sentence; None where it answers, or where the client is set to work offline."""
    if constants.HF_HUB_OFFLINE:
        return None
    errors: list[str] = [f"no answer in {_PATIENCE:.0f} s"]

    def ask() -> None:
        try:
            get_session().head(constants.ENDPOINT, timeout=_PATIENCE)
            errors.clear()
        except Exception as error:  # the client's library, and so the type, depends on its version
            errors[0] = str(error) or type(error).__name__

    # Looking up a host name has the system's own timeout, so the request is made in another thread.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return f"the Hub at {constants.ENDPOINT} cannot be reached ({errors[0]})" if errors else None


def cached_commit(name: str, kind: Literal["model", "dataset"], revision: str | None = None) -> str | None:
    """The commit of a repository's branch or tag (by default the main branch) that this machine downloaded last, or None. The Hub
    is not asked."""
    if REGEX_COMMIT_HASH.match(revision or ""):
        return revision
    ref = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind) / "refs" / (revision or "main")
    return ref.read_text(encoding="utf-8").strip() if ref.is_file() else None
