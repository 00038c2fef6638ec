"""Reading pages in tests."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import aftune.reporting

ATTACK = " ".join(("<script>alert(1)</script>", "</pre><img src=x onerror=1>", "{{ 7 * 7 }}", "\x1b[31m"))
_VOID = {"meta", "br", "img", "link", "input", "hr"}


class Elements(HTMLParser):
    """Collects tags and text, and checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def plots(page: str) -> list[str]:
    return re.findall(r'data-plot="([^"]*)"', page)


def policy(page: str) -> str:
    """The policy of a page with one script: it lets run what has the hash of the page's own file, and nothing else."""
    script = (Path(aftune.reporting.__file__).parent / "page.js").read_bytes()
    assert re.findall("<script[^>]*>(.*?)</script>", page, flags=re.DOTALL) == [script.decode()]
    allowed = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def assert_loads_nothing(page: str) -> None:
    """No script but the page's own, and nothing from elsewhere."""
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy(page)}">' in page
    page = re.sub("<script>.*?</script>", "", page, flags=re.DOTALL)
    assert "@import" not in page
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", page)
    for tag, attributes in Elements(page).tags:
        assert tag not in ("script", "link", "img", "iframe", "object", "embed", "image", "base", "form")
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, name)


def assert_references_are_whole(page: str) -> None:
    """Ids are unique, and what refers to one finds it."""
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def assert_fits_a_phone_and_the_dark(page: str) -> None:
    """Tables scroll inside their own box, figures scale, and every colour has a dark one."""
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert page.count("<table>") == len(re.findall(r'<div class="table[^"]*"><table>', page))
    assert not re.search(r"<svg[^>]* width=", page)
    used = set(re.findall(r"var\((--[\w-]+)\)", page))
    light, dark = (set(re.findall(r"(--[\w-]+):", block)) for block in re.findall(r":root \{([^}]*)\}", page))
    assert used <= light
    assert light == dark


def assert_no_fixed_colours(page: str) -> None:
    """Figures follow the page into dark mode."""
    figures = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert figures
    assert [colour for figure in figures for colour in re.findall(r"(?:fill|stroke): (#\w+)", figure)] == []
