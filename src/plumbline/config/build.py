"""Plain values -> a checked section; pydantic's errors become one message for one key."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, get_args, get_type_hints

import pydantic

from plumbline.config.renamed import RENAMED
from plumbline.errors import ParameterError, nearest

T = TypeVar("T")
TUNED = "tuned"  # in place of a value: the tuner finds it
SEARCHABLE = ("model.", "train.", "normalize.")


def build(cls: type[T], raw: dict[str, Any], prefix: str = "", *, file: str = "params.yaml") -> T:
    """Build a section from parsed values; `prefix` is the key of the section.

    Raises:
        ParameterError: an unknown key or a wrong value; names the nearest right one.
    """
    try:
        return pydantic.TypeAdapter(cls).validate_python(raw)
    except pydantic.ValidationError as error:
        raise _explain(cls, error.errors(), raw, prefix, file) from None


def _explain(cls: type[Any], errors: list[Any], raw: Any, prefix: str, file: str) -> ParameterError:
    """One message for the first key that is wrong; a union's alternatives are joined."""
    key = errors[0]["loc"][:1]
    # of a union's alternatives the one that got deepest is the one that was meant
    error = max((e for e in errors if e["loc"][:1] == key), key=lambda e: len(_path(e["loc"], raw)))
    kind = error["type"]
    unknown = kind in ("unexpected_keyword_argument", "extra_forbidden")
    absent = kind in ("missing", "missing_argument", "missing_keyword_only_argument")
    location = _path(error["loc"], raw, keep_last=unknown or absent)
    key = ".".join([prefix, *location] if prefix else location)
    if unknown:
        now, names = RENAMED.get(key), _field_names(cls, location[:-1])
        near = f"it is {now} now" if now else nearest(location[-1], names)
        return ParameterError("unknown key", file=file, where=key, hint=near)
    if absent:
        return ParameterError("is missing", file=file, where=key)
    same = [e for e in errors if _path(e["loc"], raw) == location]
    hint = None
    if isinstance(error["input"], str):
        valid = [name for e in same for name in _literals(e)]
        hint = nearest(error["input"], valid) if valid else None
        word = nearest(error["input"], [TUNED])
        if key.startswith(SEARCHABLE) and word.startswith("did you mean"):
            hint = word
    messages = [
        e["msg"].removeprefix("Value error, ").removeprefix("Input should be ") for e in same
    ]
    text = " or ".join(messages)
    wish = same[0]["msg"].startswith("Input should be ")
    return ParameterError(
        "wrong value" if wish else text[0].lower() + text[1:],
        file=file,
        where=key or None,
        wanted=text if wish else None,
        got=error["input"] if not isinstance(error["input"], dict) else None,
        hint=hint,
    )


def _path(location: tuple[Any, ...], raw: Any, *, keep_last: bool = False) -> list[str]:
    """The keys of an error's location, without the names pydantic gives to alternatives."""
    path: list[str] = []
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if (isinstance(raw, dict) and part in raw) or (
            isinstance(raw, list) and isinstance(part, int)
        ):
            raw = raw[part]
            path.append(str(part))
        elif last and keep_last:
            path.append(str(part))
    return path


def _literals(error: Any) -> list[str]:
    if error["type"] not in ("literal_error", "enum"):
        return []
    expected: str = error["ctx"]["expected"]
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _field_names(cls: type[Any], location: list[str]) -> list[str]:
    """The keys that are valid at a location."""
    for part in location:
        fields = {f.name: f.type for f in dataclasses.fields(cls)}
        inner = _type_of(cls, part) if part in fields else None
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            cls = inner
    return [f.name for f in dataclasses.fields(cls) if f.name != "tuned"]


def _type_of(cls: type[Any], name: str) -> Any:
    hint = get_type_hints(cls)[name]
    inner = [a for a in get_args(hint) if dataclasses.is_dataclass(a)]
    return inner[0] if inner else hint
