"""The table of every setting, made from `core.config`: `python -m core.settings_docs > docs/settings.md`.

Invariant: a setting without a description stops the command, so that nothing undocumented can be added.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from core.config import ENV_PREFIX, Settings

_HEAD = f"""# Settings

Made from `core/config.py` by `python -m core.settings_docs > docs/settings.md`; a test fails when the two differ.

One YAML file (`bongsu ... --config FILE`, or `{ENV_PREFIX}CONFIG=FILE`) holds the settings, and the environment goes over it: `api.port` is
`{ENV_PREFIX}API__PORT`. A value that is a list or a mapping is written there as YAML, such as
`{ENV_PREFIX}DETECT__DISABLED_RULES='[one, two]'`. Everything is checked before anything starts: an unknown key, a wrong type or an
impossible combination stops the start with the key and the reason.

`[]` in a key stands for each entry of a list. A secret belongs in the environment, not in the file; it is never shown in a log.
"""


def render() -> str:
    """The whole page. ValueError names a setting without a description."""
    parts = [_HEAD]
    for path, model in _sections(Settings, ""):
        rows = [_row(path, name, field) for name, field in model.model_fields.items() if not _is_section(field)]
        if rows:
            meaning = (model.__doc__ or "").strip()
            parts.append(f"\n## {path or 'Top level'}\n\n{meaning}\n\n| setting | type | default | meaning |\n|---|---|---|---|\n")
            parts.extend(rows)
    return "".join(parts)


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        inner = _inner(field.annotation)
        if inner is not None:
            here = f"{path}.{name}" if path else name
            yield from _sections(inner, f"{here}[]" if _is_list(field.annotation) else here)


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The section a field holds, be it one, an optional one or a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((inner for part in get_args(annotation) if (inner := _inner(part)) is not None), None)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _is_section(field: FieldInfo) -> bool:
    """Whether the field is a section that is always there, with nothing to say of itself."""
    return isinstance(field.default, BaseModel)


def _row(path: str, name: str, field: FieldInfo) -> str:
    key = f"{path}.{name}" if path else name
    if not field.description:
        raise ValueError(f"setting {key} has no description")
    cells = (f"`{key}`", _type(field.annotation, field.metadata), _default(field), field.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _type(annotation: Any, metadata: list[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return _type(inner, [*more, *metadata])
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in get_args(annotation))
    if origin is tuple:
        return f"list of {_type(get_args(annotation)[0], [])}"
    if origin is dict:
        name, value = get_args(annotation)
        return f"mapping of {_type(name, [])} to {_type(value, [])}"
    if origin in (Union, UnionType):
        return _type(next(part for part in get_args(annotation) if part is not type(None)), metadata)
    return _plain(annotation) + _limits(metadata)


def _plain(annotation: Any) -> str:
    if annotation is bool:
        return "yes or no"
    if annotation in (int, float):
        return "integer" if annotation is int else "number"
    if annotation is SecretStr:
        return "secret"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    return "text"


def _limits(metadata: list[Any]) -> str:
    pattern = next((m.pattern for m in metadata if getattr(m, "pattern", None)), None)
    if pattern:
        return f" like `{pattern}`"
    low = next((m.ge for m in metadata if isinstance(m, Ge)), None)
    high = next((m.le for m in metadata if isinstance(m, Le)), None)
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", {low} or more"
    return ", not empty" if any(isinstance(m, MinLen) for m in metadata) else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be set"
    value = field.default
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value in ("", (), {}) or isinstance(value, SecretStr):
        return "empty"
    if isinstance(value, tuple):
        tree = [entry.model_dump(mode="json", exclude_unset=True) if isinstance(entry, BaseModel) else entry for entry in value]
        return f"`{yaml.safe_dump(tree, default_flow_style=True, sort_keys=False, width=1000).strip()}`"
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(render())
