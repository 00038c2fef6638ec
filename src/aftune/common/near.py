"""A path that may have been meant where another is not there."""

import difflib
from pathlib import Path


def near(path: Path) -> str:
    """`did you mean 'own.csv'?`, or nothing where no name in the folder is like it."""
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        return ""
    found = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"did you mean {str(path.with_name(found[0]))!r}?" if found else ""
