"""What a body of the API takes, read from its JSON schema: the fields a form shows, in the schema's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, auto
from typing import Any, Final

LONG_TEXT_FROM: Final = 1000
"""Characters from which a text is given more than a line."""
_LOCAL: Final = "#/components/schemas/"

Schema = Mapping[str, Any]


class Shape(StrEnum):
    """What a field holds, as far as a form is concerned."""

    TEXT = auto()
    LONG_TEXT = auto()
    TIME = auto()
    CHOICE = auto()
    INTEGER = auto()
    FLAG = auto()
    TRISTATE = auto()
    LIST = auto()
    GROUP = auto()


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `words` are the values of a CHOICE; `of` is what a LIST holds; `fields` are the parts of a GROUP.

    `least` and `most` bound a number, the length of a text or the count of a list; None: no bound. `empty` is what is sent to say that
    there is nothing: None where the API takes null, else ''.
    """

    name: str
    shape: Shape
    required: bool = False
    nullable: bool = False
    least: int | None = None
    most: int | None = None
    pattern: str = ""
    default: Any = None
    words: tuple[str, ...] = ()
    of: Field | None = None
    fields: tuple[Field, ...] = ()

    @property
    def empty(self) -> Any:
        """What is sent when what was there is taken away."""
        if self.shape is Shape.LIST:
            return []
        return None if self.nullable else ""


def listed(field: Field) -> Field:
    """What a list holds. ValueError when it is no list."""
    if field.of is None:
        raise ValueError(f"{field.name} is no list")
    return field.of


def of_schema(schema: Schema, schemas: Mapping[str, Schema]) -> tuple[Field, ...]:
    """The fields of an object. ValueError for a schema no form can show."""
    found = _resolved(schema, schemas)
    needed = found.get("required", ())
    return tuple(
        replace(_field(name, part, schemas), required=name in needed, default=part.get("default"))
        for name, part in found.get("properties", {}).items()
    )


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].removeprefix(_LOCAL)]
    return schema


def _field(name: str, schema: Schema, schemas: Mapping[str, Schema]) -> Field:
    found, nullable = _without_null(_resolved(schema, schemas), schemas)
    if "enum" in found or "const" in found:
        words = tuple(str(word) for word in found.get("enum", [found.get("const")]))
        return Field(name, Shape.CHOICE, nullable=nullable, words=words)
    match found.get("type"):
        case "string":
            return _text(name, found, nullable)
        case "integer":
            return Field(name, Shape.INTEGER, nullable=nullable, least=found.get("minimum"), most=found.get("maximum"))
        case "boolean":
            return Field(name, Shape.TRISTATE if nullable else Shape.FLAG, nullable=nullable)
        case "array":
            of = _field(name, found["items"], schemas)
            return Field(name, Shape.LIST, least=found.get("minItems"), most=found.get("maxItems"), of=of)
        case "object" if "properties" in found:
            return Field(name, Shape.GROUP, nullable=nullable, fields=of_schema(found, schemas))
        case other:
            raise ValueError(f"no form shows {name}: {other}")


def _without_null(schema: Schema, schemas: Mapping[str, Schema]) -> tuple[Schema, bool]:
    choices: Sequence[Schema] = schema.get("anyOf", ())
    real = [one for one in choices if one.get("type") != "null"]
    if len(real) == 1:
        return _resolved(real[0], schemas), len(choices) == 2
    return schema, False


def _text(name: str, schema: Schema, nullable: bool) -> Field:
    if schema.get("format") == "date-time":
        return Field(name, Shape.TIME, nullable=nullable)
    least, most = schema.get("minLength"), schema.get("maxLength")
    shape = Shape.LONG_TEXT if most is not None and most >= LONG_TEXT_FROM else Shape.TEXT
    return Field(name, shape, nullable=nullable, least=least, most=most, pattern=schema.get("pattern", ""))
