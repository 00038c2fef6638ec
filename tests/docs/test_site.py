"""The site builds with strict links, and needs nothing from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from code_blocks import ROOT

pytest.importorskip("mkdocs", reason="needs the extra docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A broken link, a missing anchor or a page without a place in the menu ends the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]  # --quiet would hide what is strict
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    """Those of docs/, the notebooks, and the files of the root folder that the hook adds, whose links lead to pages."""
    sources = [path.relative_to(ROOT / "docs") for kind in ("*.md", "*.ipynb") for path in (ROOT / "docs").rglob(kind)]
    expected = [*(path.with_suffix(".html") for path in sources), *(Path(name) for name in ("changelog.html", "security.html"))]
    assert [path for path in expected if not (site / path).is_file()] == []
    assert 'href="runs.html"' in (site / "changelog.html").read_text(encoding="utf-8")
    assert 'href="../changelog.html"' in (site / "reference" / "python.html").read_text(encoding="utf-8")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """No script, style, picture or font of a page has an address with a host; links that are only followed may."""
    loaded = (
        r'<(?:script|img|iframe|source)[^>]*\ssrc="?(https?:|//)|<link[^>]*\shref="?(https?:|//)|url\(["\']?(https?:|//)|@import'
    )
    pages = list(site.rglob("*.html")) + list(site.rglob("*.css"))
    assert len(pages) > 30
    found = [page.name for page in pages if re.search(loaded, page.read_text(encoding="utf-8"))]
    assert found == []
