"""Pushing a model folder to the Hub, with the token of the environment or of `hf auth login`."""

from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from aftune.common import hub
from aftune.common.errors import HubError, UsageError


def check_push(repository: str) -> None:
    """Raises UsageError for a name that the Hub does not take and where there is no token, HubError without the Hub."""
    if not _is_name(repository):
        raise UsageError(
            f"REPOSITORY is {repository!r}, expected OWNER/NAME of letters, digits, '-', '_' and '.', such as me/my-model"
        )
    if constants.HF_HUB_OFFLINE:
        raise UsageError("HF_HUB_OFFLINE is set, and pushing needs the Hub; unset it, or use aftune export")
    if get_token() is None:
        raise UsageError("there is no token of the Hub; set HF_TOKEN, or log in with hf auth login")
    trouble = hub.trouble()
    if trouble is not None:
        raise HubError(f"{trouble}; check the network and run the same command again")


def push_folder(folder: Path, repository: str, *, private: bool = False) -> str:
    """Uploads a folder as a commit to a model repository, which is made if it is not there, and gives its address.

    private: only to a private repository; without it, a new one is as its owner's account says. Raises UsageError for one that is
    there and public instead, HubError where the Hub refuses.
    """
    api = HfApi()
    try:
        api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise UsageError(f"--private: {repository} is on the Hub and public; make it private there, or choose another name")
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Model of aftune")
    except UsageError:
        raise
    except Exception as error:  # of the Hub, or of the client's library, which depends on its version
        reason = " ".join(str(error).split())[:200]
        raise HubError(f"{repository}: not pushed to the Hub ({reason}); check the name and the rights of the token") from error
    return f"{constants.ENDPOINT}/{repository}"


def _is_name(repository: str) -> bool:
    try:
        validate_repo_id(repository)
    except HFValidationError:
        return False
    return "/" in repository
