"""Modifiers of Sigma that pySigma reads otherwise than the specification (appendix on modifiers, version 2.1).

pySigma encodes through text: `utf16` writes its byte order mark as UTF-8, `wide` refuses what is not ASCII, `base64` encodes the escape
of an escaped wildcard, and `utf16le` is unknown to it. `windash` leaves a dash inside a word, or one that is no `-` or `/`, as it is, and
the generic modifiers refuse numbers. The modifiers here take the place of those in pySigma's table. Bytes that are no text travel inside
a string as lone surrogates (PEP 383), so `value.encode("utf-8", "surrogateescape")` is what must be in the event.
"""

from __future__ import annotations

from base64 import b64encode
from itertools import product
from typing import Any, ClassVar, Final

from sigma.exceptions import SigmaRuleLocation, SigmaValueError
from sigma.modifiers import (
    SigmaCaseSensitiveModifier,
    SigmaContainsModifier,
    SigmaEndswithModifier,
    SigmaModifier,
    SigmaStartswithModifier,
    SigmaValueModifier,
    modifier_mapping,
    reverse_modifier_mapping,
)
from sigma.types import (
    SigmaCasedString,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
)

_DASHES: Final = ("-", "/", "\u2013", "\u2014", "\u2015")
_MOST_DASHES: Final = 5  # in one value, which then stands for 5^5 texts

_Textual = SigmaString | SigmaRegularExpression | SigmaFieldReference


def as_text(value: bytes) -> str:
    """The string that stands for `value`."""
    return value.decode("utf-8", "surrogateescape")


def as_bytes(value: str) -> bytes:
    """The bytes a string stands for; the inverse of `as_text`."""
    return value.encode("utf-8", "surrogateescape")


class _Utf16(SigmaValueModifier[SigmaString, SigmaString]):
    codec: ClassVar[str]
    mark: ClassVar[bytes] = b""

    def modify(self, val: SigmaString) -> SigmaString:
        encoded = SigmaString()
        encoded.s = [as_text(part.encode(self.codec)) if isinstance(part, str) else part for part in val.s]
        return as_text(self.mark) + encoded if self.mark else encoded


class Utf16LittleEndian(_Utf16):
    """`wide`, `utf16le`: UTF-16, low byte first."""

    codec = "utf-16-le"


class Utf16BigEndian(_Utf16):
    """`utf16be`: UTF-16, high byte first."""

    codec = "utf-16-be"


class Utf16(_Utf16):
    """`utf16`: UTF-16, low byte first, after a byte order mark."""

    codec = "utf-16-le"
    mark = b"\xff\xfe"


def _plain(val: SigmaString, source: SigmaRuleLocation | None) -> bytes:
    if not all(isinstance(part, str) for part in val.s):
        raise SigmaValueError("a value with wildcards or placeholders cannot be encoded as Base64", source=source)
    return as_bytes("".join(part for part in val.s if isinstance(part, str)))


class Base64(SigmaValueModifier[SigmaString, SigmaString]):
    """`base64`: the Base64 form of the value."""

    def modify(self, val: SigmaString) -> SigmaString:
        return SigmaString(b64encode(_plain(val, self.source)).decode("ascii"))


class Base64Offset(SigmaValueModifier[SigmaString, SigmaExpansion]):
    """`base64offset`: the three forms the value can have inside a longer Base64 text, without the characters its neighbours decide."""

    def modify(self, val: SigmaString) -> SigmaExpansion:
        plain = _plain(val, self.source)
        if len(plain) < 2:
            raise SigmaValueError("base64offset needs a value of at least two bytes", source=self.source)
        forms: list[SigmaType] = []
        for offset in range(3):
            encoded = b64encode(b"\0" * offset + plain).decode("ascii")
            whole = (offset + len(plain)) * 8 // 6  # the characters all of whose bits are known
            forms.append(SigmaString(encoded[-(-offset * 8 // 6) : whole]))
        return SigmaExpansion(forms)


class Windash(SigmaValueModifier[SigmaString, SigmaExpansion]):
    """`windash`: every dash (`-`, `/`, en dash, em dash, horizontal bar) stands for each of them."""

    def modify(self, val: SigmaString) -> SigmaExpansion:
        signs = [sign for part in val.s for sign in (part if isinstance(part, str) else (part,))]
        if sum(sign in _DASHES for sign in signs) > _MOST_DASHES:
            raise SigmaValueError(f"windash on a value with more than {_MOST_DASHES} dashes is not supported", source=self.source)
        forms: list[SigmaType] = []
        for chosen in product(*(_DASHES if sign in _DASHES else (sign,) for sign in signs)):
            form = SigmaString()
            form.s = list(chosen)
            forms.append(form)
        return SigmaExpansion(forms)


def _as_string(val: SigmaType) -> Any:
    if isinstance(val, SigmaTimestampPart):
        raise SigmaValueError("a part of a time is a number, to be equal, less or greater")
    return SigmaString(str(val)) if isinstance(val, SigmaNumber) else val


class Contains(SigmaContainsModifier):
    """`contains`, of numbers as well."""

    def modify(self, val: _Textual | SigmaNumber) -> _Textual:
        return super().modify(_as_string(val))


class Startswith(SigmaStartswithModifier):
    """`startswith`, of numbers as well."""

    def modify(self, val: _Textual | SigmaNumber) -> _Textual:
        return super().modify(_as_string(val))


class Endswith(SigmaEndswithModifier):
    """`endswith`, of numbers as well."""

    def modify(self, val: _Textual | SigmaNumber) -> _Textual:
        return super().modify(_as_string(val))


class Cased(SigmaCaseSensitiveModifier):
    """`cased`, of numbers as well; of a reference, whose comparison then has regard to case, in any order."""

    def modify(self, val: SigmaString | SigmaNumber | SigmaFieldReference) -> SigmaCasedString | SigmaFieldReference:  # type: ignore[override]
        return val if isinstance(val, SigmaFieldReference) else super().modify(_as_string(val))


_OURS: dict[str, type[SigmaModifier[Any, Any]]] = {
    "contains": Contains,
    "startswith": Startswith,
    "endswith": Endswith,
    "cased": Cased,
    "windash": Windash,
    "wide": Utf16LittleEndian,
    "utf16le": Utf16LittleEndian,
    "utf16be": Utf16BigEndian,
    "utf16": Utf16,
    "base64": Base64,
    "base64offset": Base64Offset,
}
for _name, _modifier in _OURS.items():
    modifier_mapping[_name] = _modifier
    reverse_modifier_mapping[_modifier.__name__] = _name
