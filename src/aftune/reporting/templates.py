"""The pages' templates. Everything but our own SVG and fenced text goes through autoescape and `visible`: model text cannot become
markup, and hides nothing."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aftune.common.wording import visible
from aftune.reporting.markdown import escaped

_PLACE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """A page as HTML or Markdown text, from one of the templates beside this file."""
    environment = Environment(
        loader=FileSystemLoader(_PLACE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = escaped
    script = (_PLACE / "page.js").read_text(encoding="utf-8")
    return environment.get_template(template).render(**values, script=Markup(script), script_hash=_hash(script))


def _hash(script: str) -> str:
    """What the pages' policy calls the one script that it lets run: text from elsewhere has another hash."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
