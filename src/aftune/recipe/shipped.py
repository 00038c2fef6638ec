"""The recipes that come with aftune: found by name from any folder, and what each says of itself in its first lines."""

import re
from dataclasses import dataclass
from pathlib import Path

from aftune.common.yaml_text import parse_yaml
from aftune.recipe.sections import BUNDLED

_ENDING = ".yaml"


@dataclass(frozen=True)
class Shipped:
    """A recipe of aftune's: what it is, what it needs, how long it takes, the model it names, and the command that runs it."""

    name: str
    what: str
    needs: str
    time: str
    model: str
    command: str


def bundled_recipe(name: str) -> Path:
    """A recipe that came with the package; in a source checkout, the one in the top-level folder."""
    return _folder() / name


def find_recipe(path: Path) -> Path:
    """The recipe file that a path or a name means: `quickstart` or `quickstart.yaml` is the shipped one, unless a file here is
    called so. A path that means none is given back as it is."""
    by_name = path.parent == Path() and path.suffix in ("", _ENDING)
    shipped = bundled_recipe(path.stem + _ENDING)
    return shipped if by_name and not path.is_file() and shipped.is_file() else path


def shipped_recipes() -> list[Shipped]:
    """All of them, by name."""
    return [_read(path) for path in sorted(_folder().glob(f"*{_ENDING}"))]


def shipped_names() -> list[str]:
    return sorted(path.stem for path in _folder().glob(f"*{_ENDING}"))


def _folder() -> Path:
    installed = Path(__file__).parents[1] / "recipes"
    return installed if installed.exists() else Path(__file__).parents[3] / "recipes"


def _read(path: Path) -> Shipped:
    text = path.read_text(encoding="utf-8")
    lines = [line[2:] for line in text.partition("\nrun_dir:")[0].splitlines()]
    first = " ".join(lines[: lines.index("")])
    said = dict(line.split(": ", 1) for line in lines if line.startswith(("Needs: ", "Time: ")))
    model = parse_yaml(text).get("model", {}).get("name", BUNDLED)
    return Shipped(
        name=path.stem,
        what=re.split(r"(?<=[a-z)])[.:] ", first)[0].removesuffix("."),
        needs=said["Needs"].removesuffix("."),
        time=said["Time"].removesuffix("."),
        model=model,
        command="compare" if re.search(rf"^#   aftune compare {path.stem}\b", text, re.MULTILINE) else "run",
    )
