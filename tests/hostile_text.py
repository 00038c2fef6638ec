"""Text that attacks a page or its reader, and a walk that puts it into every string of a page's data."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from aftune.recipe.names import BASELINES

_MARKUP = " ".join(
    (
        "<script>window.pwned=1</script>",
        "<img src=x onerror=window.pwned=1>",
        '"><svg/onload=window.pwned=1>',
        "'><a href=javascript:window.pwned=1>click</a>",
        "</style><script>window.pwned=1</script>",
        "</script></title></text></svg></pre></div><base href=http://a.example/><!-- ]]>",
        "{{ 7*7 }} {% raw %} ${7*7} &lt;b&gt; &#60;b&#62;",
    )
)
_LONG = "W" * 300
UNSEEN = "\x00\x08\x1b\x7f\x85\u2028\u200b\u200c\u202e\u202c\u2066\ufeff\U000e0041"  # what of the attack no page may have as it is
# Ends of lines are left out: pages may show them as spaces.
ATTACK = f"{_MARKUP} \x00\x08\x1b[31m\x7f\x85\u2028 12\u200b3\u200c4 \u202eexe.txt\u202c\u2066\ufeff\U000e0041 {_LONG}"
SHOWN = (
    f"{_MARKUP} \u2400\u2408\u241b[31m\u2421⟨U+0085⟩⟨U+2028⟩ 12⟨U+200B⟩3⟨U+200C⟩4 "
    f"⟨U+202E⟩exe.txt⟨U+202C⟩⟨U+2066⟩⟨U+FEFF⟩⟨U+E0041⟩ {_LONG}"
)


def hostile(text: str) -> str:
    """The text with the attack after it. The baselines of a comparison keep their names, by which they are found."""
    return text if text in BASELINES else f"{text} {ATTACK} [end]"


def shown(text: str) -> str:
    """What a page shows of it."""
    return f"{text} {SHOWN} [end]"


def spoiled(value: Any, keep: frozenset[str] = frozenset()) -> Any:
    """The data with every string made hostile, except keys of mappings, the entries under the keys `keep`, and settings of a
    recipe that can have certain values only."""
    if isinstance(value, str):
        return hostile(value)
    if isinstance(value, Path):
        return Path(hostile(str(value)))
    if isinstance(value, Mapping):
        return {key: item if key in keep else spoiled(item, keep) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(spoiled(item, keep) for item in value)
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _setting(value, name, keep) for name in type(value).model_fields})
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: spoiled(getattr(value, field.name), keep) for field in fields(value)})
    return value


def _setting(model: BaseModel, name: str, keep: frozenset[str]) -> Any:
    before = getattr(model, name)
    after = spoiled(before, keep)
    try:
        TypeAdapter(type(model).model_fields[name].rebuild_annotation()).validate_python(after)
    except ValidationError:
        return before
    return after
