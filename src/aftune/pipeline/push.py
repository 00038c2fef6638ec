"""`aftune push`: a model of a run, with its card, to the Hub."""

from pathlib import Path
from tempfile import TemporaryDirectory

from aftune.common.errors import UsageError
from aftune.models.loading import resolve
from aftune.models.pushing import check_push, push_folder
from aftune.pipeline.context import context_of
from aftune.pipeline.model_folder import FORMS, write_model_folder


def push(source: Path, repository: str, *, form: str = "merged", model: str = "aligned", private: bool = False) -> str:
    """Pushes a model of a run to a repository of the Hub and gives its address; nothing of it stays here.

    form, model: as in `write_model_folder`, whose errors it raises too. Raises UsageError for an adapter whose base model others do
    not have, and what `check_push` and `push_folder` raise.
    """
    source = source.expanduser()
    if form not in FORMS:
        raise UsageError(f"--to is {form!r}, expected one of {', '.join(FORMS)}")
    context = context_of(source)
    name = context.recipe.model.name
    if form == "adapter" and Path(resolve(name)).is_dir():
        raise UsageError(
            f"--to adapter: its base model, model.name {name!r}, is only on this machine, so others cannot load it; use --to merged"
        )
    check_push(repository)
    with TemporaryDirectory(prefix=".push-", dir=source) as folder:
        out = Path(folder) / "model"
        write_model_folder(context, form, out, model, title=repository)
        return push_folder(out, repository, private=private)
