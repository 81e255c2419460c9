"""Examples of the OpenAPI document: each model of a body or an answer that gives none is given one, made of its fields.

A field is what it says itself (`examples`, constant, enum), or what `examples.yaml` says of its name; else its default, or something of its
type. Of a body only what must be sent is shown, and what the file names for the model. Every example is of its own schema: a test of the
whole document holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

Schema = dict[str, Any]
_FILE: Final = Path(__file__).parent / "examples.yaml"
_REF: Final = "#/components/schemas/"
_JSON: Final = "application/json"
_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
_FORMATS: Final = {
    "date-time": "2026-05-04T00:12:09Z",
    "date": "2026-05-04",
    "uuid": "0d894093-71bc-43c3-8c4d-ecfc28dcf5d9",
    "binary": "",
}


def complete(document: Schema) -> None:
    """Give every JSON body and success answer of `document` an example, on its model or, where it has none, beside its schema."""
    maker = _Maker(document["components"]["schemas"])
    maker.mend()
    for content, is_body in _contents(document):
        schema = content["schema"]
        if name := schema.get("$ref", "").removeprefix(_REF):
            maker.complete(name, is_body=is_body)
        elif "examples" not in schema and "example" not in content:
            content["example"] = maker.value(schema, "", "")


def _contents(document: Schema) -> Iterator[tuple[Schema, bool]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            if body := operation.get("requestBody", {}).get("content", {}).get(_JSON):
                yield body, True
            for status, answer in operation["responses"].items():
                told = answer.get("content", {}).get(_JSON)
                if status.startswith("2") and told and told.get("schema"):
                    yield told, False


class _Maker:
    """Makes examples of models. A model within itself is left out the second time."""

    def __init__(self, schemas: dict[str, Schema]) -> None:
        self._schemas = schemas
        self._under_way: list[str] = []

    def complete(self, name: str, *, is_body: bool) -> None:
        """Give the model `name` an example unless it has one."""
        if "examples" not in self._schemas[name]:
            self._schemas[name]["examples"] = [self._model(name, is_body=is_body)]

    def mend(self) -> None:
        """Put into the examples that models give what these lack: what is null, and what a model has beside the one it extends."""
        for name, schema in self._schemas.items():
            for told in schema.get("examples", []):
                self._mend(told, name)

    def _mend(self, told: Any, name: str) -> None:
        schema = self._schemas.get(name, {})
        if not isinstance(told, dict) or "properties" not in schema:
            return
        for field in schema.get("required", []):
            one = schema["properties"][field]
            if field not in told:
                told[field] = None if self._fits(None, one) else self.value(one, name, field)
            below = told[field] if isinstance(told[field], list) else [told[field]]
            for each in below:
                self._mend(each, one.get("items", one).get("$ref", "").removeprefix(_REF))

    def value(self, schema: Schema, model: str, field: str) -> Any:
        """An example of `schema`, which is that of `field` in `model`."""
        found, value = _told(model, field)
        if found and self._fits(value, schema):
            return value
        for key in ("examples", "enum"):
            if told := [one for one in schema.get(key, []) if one not in ("", None)]:
                return told[0]
        if "const" in schema:
            return schema["const"]
        if name := schema.get("$ref", "").removeprefix(_REF):
            return self._referred(name, model, field)
        if several := schema.get("anyOf") or schema.get("oneOf"):
            return self.value(self._best(several), model, field)
        if schema.get("default"):
            return schema["default"]
        return self._typed(schema, model, field)

    def _referred(self, name: str, model: str, field: str) -> Any:
        schema = self._schemas[name]
        if "properties" not in schema:
            return self.value(schema, model, field)
        if told := schema.get("examples"):
            return told[0]
        return self._model(name, is_body=False)

    def _model(self, name: str, *, is_body: bool) -> Schema:
        schema = self._schemas[name]
        if "properties" not in schema:
            return self.value(schema, name, "")  # type: ignore[no-any-return]
        self._under_way.append(name)
        try:
            return {
                field: self.value(one, name, field) for field, one in schema["properties"].items() if self._is_shown(name, field, is_body)
            }
        finally:
            self._under_way.pop()

    def _is_shown(self, name: str, field: str, is_body: bool) -> bool:
        schema = self._schemas[name]
        needed, one = field in schema.get("required", ()), schema["properties"][field]
        if is_body or self._is_sent(name):
            return needed or "examples" in one or _of_model(name, field) or not schema.get("required")
        return True

    def _is_sent(self, name: str) -> bool:
        """Whether nothing else than what it names may be in the model: then it is something that is sent."""
        return self._schemas[name].get("additionalProperties") is False

    def _best(self, several: list[Schema]) -> Schema:
        """What is not null, and not a model that is being made."""
        free = [one for one in several if one.get("$ref", "").removeprefix(_REF) not in self._under_way]
        return next((one for one in free if one.get("type") != "null"), several[-1])

    def _typed(self, schema: Schema, model: str, field: str) -> Any:
        match schema.get("type"):
            case "array":
                if fixed := schema.get("prefixItems"):
                    return [self.value(one, model, "") for one in fixed]
                items = schema.get("items", {})
                if items.get("$ref", "").removeprefix(_REF) in self._under_way:
                    return []
                return [self.value(items, model, _one_of(field))] * max(1, schema.get("minItems", 1))
            case "object":
                return self._mapping(schema, model, field)
            case "boolean":
                return False
            case "integer" | "number":
                return max(schema.get("minimum", 3), min(3, schema.get("maximum", 3)))
            case "string":
                return _FORMATS.get(schema.get("format", ""), "")
        return {}

    def _mapping(self, schema: Schema, model: str, field: str) -> Schema:
        values, names = schema.get("additionalProperties"), schema.get("propertyNames", {})
        if "properties" in schema:
            return {name: self.value(one, model, name) for name, one in schema["properties"].items()}
        if not isinstance(values, dict) or not names:
            return {}
        return {self.value(names, model, ""): self.value(values, model, _one_of(field))}

    def _fits(self, value: Any, schema: Schema) -> bool:
        """Whether `value` is of the kind the schema wants; the rest is for the test of the whole document."""
        if name := schema.get("$ref", "").removeprefix(_REF):
            schema = self._schemas[name]
        if several := schema.get("anyOf") or schema.get("oneOf"):
            return any(self._fits(value, one) for one in several)
        if "enum" in schema or "const" in schema:
            return value in schema.get("enum", [schema.get("const")])
        kind = schema.get("type")
        if kind is None:
            return not schema.get("properties")
        wanted = _TYPES[kind]
        is_right = isinstance(value, wanted) and (kind == "boolean" or not isinstance(value, bool))
        if is_right and kind == "array":
            return all(self._fits(one, schema.get("items", {})) for one in value)
        if is_right and kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return all(self._fits(one, schema["additionalProperties"]) for one in value.values())
        return is_right and (schema.get("format") != "date-time" or _is_instant(value))


@cache
def _file() -> tuple[Mapping[str, Any], Mapping[tuple[str, str], Any]]:
    """What is said of fields by their names, and of fields of models."""
    told = yaml.load(_FILE.read_text("utf-8"), _Plain)  # noqa: S506 - a SafeLoader that leaves times alone
    models: dict[tuple[str, str], Any] = {}
    for name, value in told["models"].items():
        model, _, field = name.partition(".")
        models |= {(model, field): value} if field else {(model, one): each for one, each in value.items()}
    return told["fields"], models


class _Plain(yaml.SafeLoader):
    """Times stay as they are written."""


_Plain.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _names(model: str) -> list[str]:
    """What the file may call a model: by its own name, or with the modules it is in; one in detail also as the one it tells more of."""
    plain = model.removesuffix("-Input").removesuffix("-Output")
    parts = plain.split("__")
    names = ["__".join(parts[place:]) for place in range(len(parts))]
    return [*names, *(one.removesuffix("Detail") for one in names if one.endswith("Detail"))]


def _of_model(model: str, field: str) -> bool:
    return any((name, field) in _file()[1] for name in _names(model))


def _told(model: str, field: str) -> tuple[bool, Any]:
    fields, models = _file()
    for name in _names(model):
        if (name, field) in models:
            return True, models[name, field]
    return field in fields, fields.get(field)


def _one_of(field: str) -> str:
    return field.removesuffix("s")


def _is_instant(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
