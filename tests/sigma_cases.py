"""Our own cases for every feature of Sigma: what `tests.sigma_support` judges and `docs/sigma-support.md` shows.

A rule is written short: one item `field|modifier: value` becomes the selection `s` and the condition `s`; what holds a `condition:` is a
whole detection. Addresses are of the documentation ranges (RFC 5737, RFC 3849) or 10.0.0.0/8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RuleCases:
    """Events a rule must match, and must not. Not `letter`: where we go beyond the letter of the specification, as the remark says."""

    feature: str
    rule: str
    match: tuple[Event, ...]
    differ: tuple[Event, ...]
    remark: str = ""
    letter: bool = True


@dataclass(frozen=True, slots=True)
class RefusedCase:
    """What must be refused at load, with words of the reason. `text` is a short rule, or with `whole` the rest of a document."""

    feature: str
    text: str
    reason: str
    whole: bool = False


def values(field: str, *texts: Any) -> tuple[Event, ...]:
    """Events with one field."""
    return tuple({field: text} for text in texts)


def of(*texts: Any) -> tuple[Event, ...]:
    """Events with the field `a`."""
    return values("a", *texts)


NOTHING: tuple[Event, ...] = ({},)

VALUES = (
    RuleCases("text, without case", "a: EviL", of("evil", "EVIL", ["x", "evil"]), (*of("evil ", "", None), *NOTHING)),
    RuleCases("text, case of other scripts", "a: ÉÑД한글", of("éñд한글"), of("enд한글")),
    RuleCases("numbers", "a: 10", of(10, "10", 10.0), of(100, "10.0", "010"), "compared as text, as the specification has it"),
    RuleCases("truth values", "a: true", of(True, "TRUE"), of(False, 1)),
    RuleCases("`*`", "a: b*d", of("bd", "BxxD", "b\nd"), of("abd", "bde")),
    RuleCases("`?`", "a: 'b?d'", of("bxd", "b가d"), of("bd", "bxxd")),
    RuleCases("escapes: `\\*`, `\\?`", r"a: 'b\*\?'", of("b*?"), of("bx?", "b*x", r"b\*\?")),
    RuleCases("escapes: `\\` alone and doubled", r"a: ['c:\d', 'e:\\f']", of(r"c:\d", r"e:\f"), of("c:d", r"e:\\f")),
    RuleCases("escapes: `\\\\*`", r"a: 'c:\\*'", of("c:\\", r"c:\x"), of("c:*", "c:x")),
    RuleCases("escapes: `\\\\\\*` and `\\\\\\\\`", r"a: ['b\\\*', 'c\\\\']", of(r"b\*", r"c\\"), of(r"b\x", "c\\")),
    RuleCases(
        "`null`", "a: null", (*of(None, []), *NOTHING), of("", 0, "null"), "a column of ours holds no empty text: there `''` is `null`"
    ),
    RuleCases("not null", "{s: {a: null}, condition: not s}", of("", "x"), (*of(None), *NOTHING)),
    RuleCases("empty text", "a: ''", of(""), (*of(None, " "), *NOTHING)),
    RuleCases("any text", "a: '*'", of("x", ""), (*of(None), *NOTHING)),
    RuleCases("list of values", "a: [b, 1, 'c*']", of("B", 1, "cd"), of("d", 11)),
    RuleCases("list with null", "a: [null, b]", (*NOTHING, *of("b")), of("c"), "the specification discourages it; null is one more value"),
    RuleCases("several fields", "a: 1, b: 2", ({"a": 1, "b": 2},), ({"a": 1}, {"b": 2}, {"a": 1, "b": 3})),
    RuleCases("list of maps", "{s: [{a: 1, b: 2}, {c: 3}], condition: s}", ({"a": 1, "b": 2}, {"c": 3}), ({"a": 1, "c": 4}, {"b": 2})),
    RuleCases("field names with dots", "a.b.c: x", ({"a": {"b": {"c": "x"}}}, {"a.b": {"c": "x"}}, {"a.b.c": "x"}), ({"a": {"b": "x"}},)),
    RuleCases("field names with dashes and spaces", "c-uri query: x", values("c-uri query", "x"), values("c-uri", "x")),
    RuleCases("array-valued fields", "a: x", of(["y", "x"], [["x"]]), of([], ["xy"]), "one element that passes is enough"),
    RuleCases("arrays of objects", "a.b: 1", ({"a": [{"b": 2}, {"b": 1}]},), ({"a": [{"b": 2}, {"c": 1}]},)),
    RuleCases("keywords", "{s: [evil, 'b?d'], condition: s}", (*of("an EVIL one", ["x", "bad"]), {"x": {"y": "evil"}}), of("evi l")),
    RuleCases("keywords: one, number", "{s: [4444], condition: s}", of("port 4444", 4444), of(444)),
    RuleCases("keywords: `'|all'`", "{s: {'|all': [one, two]}, condition: s}", ({"a": "one", "b": "two"},), of("one")),
    RuleCases(
        "keywords: `'|re'`, `'|cased'`",
        "{s: {'|re': 'e[vx]il'}, t: {'|cased': Bad}, condition: 1 of them}",
        of("an exil", "Bad"),
        of("eil", "bad"),
    ),
    RuleCases("keywords beside maps", "{s: [evil, {a: x}], condition: s}", ({"b": "evil"}, {"a": "x"}), of("y")),
)

ANY_DASH = "every `-`, `/`, en dash, em dash and horizontal bar stands for each; up to 5 in one value"
MODIFIERS = (
    RuleCases("`contains`", "a|contains: [bc, 44]", of("abcd", "BC", 8443), of("b-c", "4")),
    RuleCases("`startswith`", "a|startswith: ab", of("ABc", "ab"), of("cab")),
    RuleCases("`endswith`", "a|endswith: ab", of("cAB", "ab"), of("abc")),
    RuleCases("`contains` with wildcards", r"a|contains: 'b*d\*'", of("abxd*e"), of("abxdxe")),
    RuleCases("`all`", "a|contains|all: [x, y]", of("y-x", ["x1", "y1"]), of("x"), "a single value is passed as it is"),
    RuleCases("`cased`", "a|cased: Ab", of("Ab"), of("ab", "AB")),
    RuleCases("`cased` with others", "a|contains|cased: Ab", of("xAby"), of("xaby")),
    RuleCases(
        "`exists`",
        "a|exists: true",
        of("x", "", None, []),
        values("b", 1),
        "null is there, as the specification has it; a column's NULL is not",
    ),
    RuleCases("`exists: false`", "a|exists: false", (*NOTHING, *values("b", 1)), of("x", "", None)),
    RuleCases("`neq`", "a|neq: [x, y]", (*of("z"), *NOTHING), of("X", ["z", "y"])),
    RuleCases("`neq` with others", "a|contains|neq: x", of("abc"), of("axc")),
    RuleCases(
        "`re`", "a|re: 'b.d+$'", of("abxdd"), of("BXD", "bd", "b\nd"), "RE2: no look-around or back references; `$` is the end of the value"
    ),
    RuleCases("`re|i`", "a|re|i: '^b.d'", of("BXD"), of("aBXD")),
    RuleCases("`re|m`", "a|re|m: '^c$'", of("b\nc\nd"), of("bc")),
    RuleCases("`re|s`", "a|re|s: 'b.d'", of("b\nd"), of("b\n\nd")),
    RuleCases("`re`: its escapes are its own", r"a|re: 'c:\\d\*'", of(r"c:\d*"), of("c:d*")),
    RuleCases("`cidr`, IPv4", "a|cidr: [192.0.2.0/25, 10.0.0.0/8]", of("192.0.2.1", "10.9.8.7"), of("192.0.2.200", "10.0.0", "10.1.1.1 x")),
    RuleCases("`cidr`, IPv6", "a|cidr: 2001:db8::/32", of("2001:DB8::1", "2001:db8:0:0::9"), of("2001:db9::1", "10.0.0.1")),
    RuleCases(
        "`cidr`, IPv4 in IPv6", "a|cidr: 10.0.0.0/8", of("::ffff:10.0.0.1"), of("::10.0.0.1"), "mapped addresses (RFC 4291) are IPv4"
    ),
    RuleCases("`base64`", "a|base64: whoami /x", of("d2hvYW1pIC94"), of("whoami /x", "d2hvYW1p")),
    RuleCases(
        "`base64offset`",
        "a|base64offset|contains: whoami",
        of("eCB3aG9hbWkgeQ==", "d2hvYW1pIHk=", "eHh3aG9hbWk="),
        of("whoami", "d2hvIGFtIEk="),
    ),
    RuleCases(
        "`wide`, `utf16le`", "{s: {a|wide: ab}, t: {a|utf16le: cd}, condition: 1 of them}", of("a\0b\0", "C\0d\0"), of("ab", "\0a\0b")
    ),
    RuleCases("`utf16be`", "a|utf16be|contains: ab", of("x\0a\0b"), of("a\0b\0")),
    RuleCases("`utf16`", "a|utf16|base64: A", of("//5BAA=="), of("QQA=")),
    RuleCases("encodings of other scripts", "a|wide|base64offset|contains: 가é", of("AKzpAA==", "eADpAACs6QA="), of("AKzoAA==")),
    RuleCases("`windash`", "a|windash|contains: ' -f'", of("x -f", "x /F", "x –f", "x —f", "x ―f"), of("x f", "x _f"), ANY_DASH),
    RuleCases("`windash`, within words", "a|windash: a/b-c", of("a-b/c", "a–b―c"), of("abc")),
    RuleCases("`fieldref`", "a|fieldref: b.c", ({"a": "X", "b": {"c": "x"}},), ({"a": "x"}, {"a": "x", "b": {"c": "y"}}, {})),
    RuleCases("`fieldref` with `startswith`", "a|fieldref|startswith: b", ({"a": "xyz", "b": "XY"},), ({"a": "xyz", "b": "yz"},)),
    RuleCases("`fieldref` with `endswith`", "a|fieldref|endswith: b", ({"a": "xyz", "b": "YZ"},), ({"a": "xyz", "b": "xy"},)),
    RuleCases("`fieldref` with `contains`", "a|fieldref|contains: b", ({"a": "xyz", "b": "Y"},), ({"a": "xyz", "b": "a"},)),
    RuleCases("`fieldref` before `cased`", "a|fieldref|cased: b", ({"a": "x", "b": "x"},), ({"a": "x", "b": "X"}, {"a": "x"})),
    RuleCases("`fieldref` with `cased`, `neq`", "a|cased|fieldref|neq: b", ({"a": "x", "b": "X"}, {}), ({"a": "x", "b": "x"},)),
    RuleCases("`lt`", "a|lt: 5", of(4, "4.5", -1), of(5, "x", None)),
    RuleCases("`lte`", "a|lte: 5", of(5, "5.0"), of(5.1)),
    RuleCases("`gt`", "a|gt: 5", of(6, "10"), of(5, "", True)),
    RuleCases("`gte`", "a|gte: 5.5", of(5.5, "6"), of(5.4)),
    RuleCases("`neq` of numbers", "a|neq: 5", of(6, "x"), of(5, "5")),
    RuleCases(
        "`expand`",
        "a|expand: '%who%'",
        of("adm1", "Root"),
        of("%who%", "user"),
        "the detector has no values to give yet, so it sets such a rule aside",
    ),
    RuleCases("`expand` within a text", r"a|expand|contains: '\%x%who%y'", of("0%xrooty0"), of("xrooty", "%x%who%y")),
    RuleCases("percent signs without `expand`", "a: '%who%'", of("%who%"), of("root")),
    RuleCases(
        "`minute`, `hour`",
        "a|minute: 5, b|hour: [3, 4]",
        ({"a": "2026-01-02T00:05:00Z", "b": "2026-01-02T04:59:59Z"},),
        of("2026-01-02T00:05:00Z"),
    ),
    RuleCases(
        "`day`, `month`, `year`",
        "{s: {a|day: 2, a|month: 1, a|year: 2026}, condition: s}",
        of("2026-01-02T23:59:59Z"),
        of("2026-02-01", "2", "no time"),
    ),
    RuleCases("`week`", "a|week: 1", of("2024-12-30T00:00:00Z"), of("2024-12-29T00:00:00Z"), "of ISO 8601"),
    RuleCases(
        "times with a zone", "a|hour: 23", of("2026-01-02T08:00:00+09:00"), of("2026-01-02T23:00:00+09:00"), "parts are of the time in UTC"
    ),
    RuleCases(
        "times with `lt`, `gte`, ...",
        "a|hour|gte: 22",
        of("2026-01-02T22:00:00Z"),
        of("2026-01-02T21:59:00Z"),
        "beyond the letter of the specification",
    ),
)

PAIR = "s: {a: 1}, t: {b: 1}"
BOTH, LEFT, RIGHT = {"a": 1, "b": 1}, {"a": 1}, {"b": 1}
CONDITIONS = (
    RuleCases("`and`, `or`, `not`", f"{{{PAIR}, condition: s and not t}}", (LEFT,), (BOTH, RIGHT, {})),
    RuleCases("operators in capitals", f"{{{PAIR}, condition: s AND NOT t}}", (LEFT,), (BOTH,), "as well"),
    RuleCases(
        "not before and before or",
        "{s: {a: 1}, t: {b: 1}, u: {c: 1}, condition: s or not t and u}",
        (LEFT, {"c": 1}),
        (RIGHT, {"b": 1, "c": 1}, {}),
    ),
    RuleCases("brackets, nested", f"{{{PAIR}, condition: not (s and (t or not (s)))}}", (LEFT, RIGHT, {}), (BOTH,)),
    RuleCases(
        "`1 of them`",
        f"{{{PAIR}, _h: {{c: 1}}, condition: 1 of them}}",
        (LEFT, RIGHT),
        ({"c": 1}, {}),
        "names beginning with `_` are left out",
    ),
    RuleCases("`all of them`", f"{{{PAIR}, _h: {{c: 1}}, condition: all of them}}", (BOTH,), (LEFT, {"c": 1})),
    RuleCases("`1 of` pattern", "{s_a: {a: 1}, s_b: {b: 1}, t_c: {c: 1}, condition: 1 of s_*}", (LEFT, RIGHT), ({"c": 1},)),
    RuleCases(
        "`all of` pattern",
        "{s_a: {a: 1}, s_b: {b: 1}, t_c: {c: 1}, condition: all of s_* and not 1 of t*c}",
        (BOTH,),
        (LEFT, {**BOTH, "c": 1}),
    ),
    RuleCases("`any of`", f"{{{PAIR}, condition: any of them}}", (LEFT, RIGHT), ({},), "means `1 of`"),
    RuleCases(
        "`1 of _*`",
        "{_s: {a: 1}, t: {b: 1}, condition: 1 of _*}",
        (LEFT,),
        (RIGHT,),
        "a pattern that itself begins with `_` reaches them",
        letter=False,
    ),
    RuleCases("names with dashes, `not_x`", "{s-1: {a: 1}, not_x: {b: 1}, condition: 1 of s-* and not not_x}", (LEFT,), (BOTH, RIGHT)),
    RuleCases("list of conditions", f"{{{PAIR}, condition: [s and not t, t and not s]}}", (LEFT, RIGHT), (BOTH, {}), "any of them"),
)

FILTER = """condition: s}
---
title: F
logsource: {category: firewall}
filter: """
FILTERS = (
    RuleCases(
        "filter on any rule", f"{{s: {{a: 1}}, {FILTER}{{rules: any, ok: {{u: x}}, condition: not ok}}", (LEFT,), ({"a": 1, "u": "x"}, {})
    ),
    RuleCases(
        "filter that names its rule",
        f"{{s: {{a: 1}}, {FILTER}{{rules: [{{id}}], ok: {{u: x}}, condition: not ok}}",
        (LEFT,),
        ({"a": 1, "u": "x"},),
    ),
    RuleCases(
        "filter of several searches",
        f"{{s: {{a: 1}}, {FILTER}{{rules: any, o1: {{u: x}}, o2: {{u: y}}, condition: not 1 of o*}}",
        (LEFT,),
        ({"a": 1, "u": "y"},),
    ),
    RuleCases(
        "filter that must hold", f"{{s: {{a: 1}}, {FILTER}{{rules: any, ok: {{u: x}}, condition: ok}}", ({"a": 1, "u": "x"},), (LEFT,)
    ),
)


OTHER = "title: C\nid: 5b0f6f0e-1d3c-4f43-9d5e-0a4a5f7c0002\n"
CORRELATION = "type: event_count, rules: [{id}], timespan: 5m, condition: {gte: 3}"


def faulty(feature: str, old: str, new: str, reason: str) -> RefusedCase:
    """A correlation with one part replaced."""
    assert old in CORRELATION
    return RefusedCase(feature, f"correlation: {{{CORRELATION.replace(old, new)}}}", reason, whole=True)


REFUSED = (
    faulty("a correlation of a rule that is not there", "{id}", "gone", "no rule 'gone'"),
    RefusedCase("a correlation of itself", f"correlation: {{{CORRELATION}}}", "refers to itself", whole=True),
    RefusedCase(
        "a correlation over more than 31 days",
        f"detection: {{s: {{url: x}}, condition: s}}\n---\n{OTHER}correlation: {{{CORRELATION.replace('5m', '2M')}}}",
        "longer than 31 days",
        whole=True,
    ),
    RefusedCase(
        "a correlation by a field that no event has",
        f"detection: {{s: {{url: x}}, condition: s}}\n---\n{OTHER}correlation: {{{CORRELATION}, group-by: [no_such_field]}}",
        "no_such_field",
        whole=True,
    ),
    RefusedCase("a rule that needs a field no event has", "no_such_field: x", "no_such_field"),
    RefusedCase("an unknown modifier", "a|near: b", "unknown modifier"),
    RefusedCase("`contains: null`", "a|contains: null", "type of 'null'"),
    RefusedCase("a comparison with text", "a|lt: '5'", "incompatible"),
    RefusedCase("a part of a time as text", "a|hour: '5'", "incompatible"),
    RefusedCase("`hour|contains`", "a|hour|contains: 5", "part of a time"),
    RefusedCase("`exists` of text", "a|exists: 'yes'", "incompatible"),
    RefusedCase("`re` of a number", "a|re: 5", "in quotes"),
    RefusedCase("a regular expression that is none", "a|re: '('", "invalid"),
    RefusedCase("a regular expression of PCRE alone", "url|re: '(?<=b)x'", "invalid perl operator"),
    RefusedCase("`re` after another modifier", "a|contains|re: x", "unmodified values"),
    RefusedCase("`i`, `m`, `s` without `re`", "a|i: x", "incompatible"),
    RefusedCase("a network with host bits", "a|cidr: 10.0.0.1/8", "host bits"),
    RefusedCase("`base64` of wildcards", "a|base64: 'b*'", "wildcards"),
    RefusedCase("`base64offset` of one byte", "a|base64offset: b", "two bytes"),
    RefusedCase("`windash` of many dashes", "a|windash: '-a -b -c -d -e -f'", "more than 5 dashes"),
    RefusedCase("`expand` without values", "a|expand: '%nobody%'", "%nobody%"),
    RefusedCase("a map as a value", "a: {b: c}", "unsupported type"),
    RefusedCase("an empty map", "{s: {}, condition: s}", "empty"),
    RefusedCase("null as a keyword", "{s: [null], condition: s}", "needs a field"),
    RefusedCase("`cidr` as a keyword", "{s: {'|cidr': 10.0.0.0/8}, condition: s}", "needs a field"),
    RefusedCase("no condition", "detection: {s: {a: 1}}", "condition", whole=True),
    RefusedCase("a name the detection does not have", "{s: {a: 1}, condition: s and t}", "'t'"),
    RefusedCase("a pattern that fits nothing", "{s: {a: 1}, condition: 1 of t*}", "fits nothing"),
    RefusedCase("`2 of`", "{s: {a: 1}, condition: 2 of s*}", "names '2'"),
    RefusedCase("an open bracket", "{s: {a: 1}, condition: (s}", "not closed"),
    RefusedCase("aggregations", "{s: {a: 1}, condition: s | count() > 5}", "correlation rule"),
    RefusedCase("`near`", "{s: {a: 1}, t: {b: 1}, condition: s near t}", "unexpected"),
    RefusedCase("`timeframe`", "{s: {a: 1}, timeframe: 5m, condition: s}", "correlation rule"),
    RefusedCase("a key written twice", "a: 1, a: 2", "duplicate key"),
    RefusedCase("the collection action `repeat`", "action: repeat", "not supported", whole=True),
    RefusedCase(
        "a filter that fits no rule",
        "filter: {rules: [11111111-1111-4111-8111-111111111111], ok: {a: 1}, condition: not ok}",
        "fits no rule",
        whole=True,
    ),
    faulty("an unknown correlation type", "event_count", "value_max", "one of event_count"),
    faulty("a correlation without rules", "[{id}]", "[]", "list of names"),
    faulty("a timespan that is none", "5m", "5 minutes", "timespan must be"),
    faulty("a correlation without a condition", ", condition: {gte: 3}", "", "needs a condition"),
    faulty("a condition without a number", "gte: 3", "gte: many", "must be a number"),
    faulty("a field where none is looked at", "gte: 3", "gte: 3, field: x", "no field"),
    faulty("a boolean condition of a count", "{gte: 3}", "a and b", "is a map"),
    faulty("an unknown key of a correlation", "timespan", "within: 1m, timespan", "has no within"),
)
