"""The settings in force, one by one: what each is, where it comes from, and what it means. Secrets are masked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel, SecretStr

from core.config import Settings

Source = Literal["default", "file", "environment"]
MASK: Final = "********"


@dataclass(frozen=True, slots=True)
class Value:
    """One setting. `value` is plain JSON; a list of sections is given whole, and `source` of a part of it is that of the list."""

    key: str
    value: Any
    source: Source
    meaning: str


def values(settings: Settings) -> Iterator[Value]:
    """Every setting of `settings`, in the order of docs/settings.md."""
    yield from _section(settings, "", settings.from_environment)


def meanings(model: type[BaseModel] = Settings, path: str = "") -> Iterator[tuple[str, str]]:
    """The key and the meaning of everything `values` may give, of sections that may be left out as well."""
    for name, field in model.model_fields.items():
        key = f"{path}.{name}" if path else name
        parts = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
        section = next((one for one in parts if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if section is None or NoneType in parts:
            yield key, field.description or ""
        if section is not None:
            yield from meanings(section, key)


def _section(section: BaseModel, path: str, environment: frozenset[str]) -> Iterator[Value]:
    deeper: list[tuple[str, BaseModel]] = []
    for name, field in type(section).model_fields.items():
        key, value = f"{path}.{name}" if path else name, getattr(section, name)
        if isinstance(value, BaseModel):
            deeper.append((key, value))
        else:
            yield Value(key, _plain(value), _source(section, name, key, environment), field.description or "")
    for key, inner in deeper:
        yield from _section(inner, key, environment)


def _source(section: BaseModel, name: str, key: str, environment: frozenset[str]) -> Source:
    if name not in section.model_fields_set:
        return "default"
    told = any(given == key or given.startswith(f"{key}.") or key.startswith(f"{given}.") for given in environment)
    return "environment" if told else "file"


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    match value:
        case SecretStr():
            return MASK if value.get_secret_value() else ""
        case BaseModel():
            return {name: _plain(getattr(value, name)) for name in type(value).model_fields if name in value.model_fields_set}
        case dict():
            return {str(name): _plain(one) for name, one in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(one) for one in value]
        case bool() | int() | float() | None:
            return value
        case PurePath():
            return str(value)
        case _:
            return str(value)
