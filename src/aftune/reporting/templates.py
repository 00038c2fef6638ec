"""The pages' templates. Everything but our own SVG and fenced text goes through autoescape and `visible`: model text cannot become
markup, and hides nothing."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aftune.common.wording import visible
from aftune.reporting.markdown import escaped


def render(template: str, **values: Any) -> str:
    """A page as HTML or Markdown text, from one of the templates beside this file."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["md"] = escaped
    return environment.get_template(template).render(**values)
