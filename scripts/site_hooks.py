"""What mkdocs does beside its plugins: the changelog and its neighbours of the root folder become pages, and links that leave
docs/ lead to them, so that every file reads well on its own and on the site."""

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[1]
PAGES = {name: name.lower() for name in ("CHANGELOG.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")}
_LINK = re.compile(r"(?<=\]\()(?:\./)?([\w./-]+)(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in PAGES.items():
        text = _LINK.sub(lambda found: _from_root(found[1]), (_ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links from a page of docs/ to one of the root folder's files."""
    depth = len(PurePosixPath(page.file.src_uri).parent.parts)
    up = "../" * depth
    return _LINK.sub(lambda found: _to_root(found[1], up), markdown)


def _from_root(target: str) -> str:
    return PAGES.get(target, target.removeprefix("docs/"))


def _to_root(target: str, up: str) -> str:
    name = target.removeprefix(f"{up}../")
    return f"{up}{PAGES[name]}" if target != name and name in PAGES else target
