"""What this machine knows of the Hub without asking it."""

from pathlib import Path
from typing import Literal


def cached_commit(name: str, kind: Literal["model", "dataset"]) -> str | None:
    """The commit of a repository's main branch that was downloaded last; None where none was."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    ref = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type=kind) / "refs" / "main"
    return ref.read_text(encoding="utf-8").strip() if ref.is_file() else None
