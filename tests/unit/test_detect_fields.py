"""Field names and log sources."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

import ingest
from core.events import EVENTS, LogClass
from detect.fields import EventFields, FieldKind
from detect.logsources import PRODUCTS, UnknownLogSource, route
from detect.rules import LogSource


def test_one_name_alone_is_shared_by_two_columns_and_means_the_protocol() -> None:
    owners: dict[str, set[str]] = {}
    for column in EVENTS.columns:
        for name in (column.name, *column.sigma):
            owners.setdefault(name.casefold(), set()).add(column.name)
    assert {name: columns for name, columns in owners.items() if len(columns) > 1} == {"transport": {"transport", "proto"}}
    field = EventFields().field("transport")
    assert field is not None
    assert field.column == "proto"


@pytest.mark.parametrize(
    ("name", "column", "kind"),
    [
        ("src_ip", "src_ip", FieldKind.ADDRESS),
        ("c-ip", "src_ip", FieldKind.ADDRESS),
        ("DestinationPort", "dst_port", FieldKind.NUMBER),
        ("destinationport", "dst_port", FieldKind.NUMBER),
        ("c-useragent", "user_agent", FieldKind.TEXT),
        ("event_time", "event_time", FieldKind.TIME),
    ],
)
def test_sigma_names_lead_to_columns(name: str, column: str, kind: FieldKind) -> None:
    field = EventFields().field(name)
    assert field is not None
    assert (field.column, field.kind) == (column, kind)


def test_a_name_of_no_column_leads_nowhere() -> None:
    assert EventFields().field("ParentCommandLine") is None


@pytest.mark.parametrize("log_class", list(LogClass))
def test_every_log_class_is_a_category(log_class: LogClass) -> None:
    assert route(LogSource(category=log_class.value)).classes == {log_class}


def test_product_and_service_narrow_a_route() -> None:
    found = route(LogSource(product="fortigate", service="event"))
    assert found.vendors == ("fortinet",)
    assert LogClass.CONFIG in found.classes
    assert LogClass.FIREWALL not in found.classes
    assert route(LogSource(category="dns", product="zeek")).products == ("zeek", "bro")


@pytest.mark.parametrize("source", [LogSource(product="windows"), LogSource(category="process_creation"), LogSource("dns", service="bgp")])
def test_a_log_source_that_is_not_ours_is_refused(source: LogSource) -> None:
    with pytest.raises(UnknownLogSource):
        route(source)


@cache
def makers_and_products() -> set[tuple[str, str]]:
    """What the parsers write into `vendor` and `product`, in lower case."""
    folder = Path(ingest.__file__).parent / "parsers"
    documents = [yaml.load(file.read_text("utf-8"), yaml.CSafeLoader) for file in folder.glob("*.yaml")]
    return {(str(document["vendor"]).lower(), str(document["product"]).lower()) for document in documents}


@pytest.mark.parametrize("word", sorted(set(PRODUCTS) - {"huawei"}))
def test_a_product_of_a_rule_means_logs_some_parser_reads(word: str) -> None:
    device = PRODUCTS[word]
    assert any(
        (not device.vendors or vendor in device.vendors) and (not device.products or product in device.products)
        for vendor, product in makers_and_products()
    )


@pytest.mark.parametrize(
    ("product", "vendors", "products"),
    [
        ("wins", ("wins",), ()),
        ("genians", ("genians",), ()),
        ("penta security", ("penta security",), ()),
        ("wapples", (), ("wapples",)),
        ("asa", ("cisco",), ("asa",)),
        ("sonicwall", ("sonicwall",), ()),
        ("squid", (), ("squid",)),
        ("linux", (), ("linux", "openssh")),
    ],
)
def test_a_rules_product_narrows_to_its_maker_or_product(product: str, vendors: tuple[str, ...], products: tuple[str, ...]) -> None:
    found = route(LogSource(product=product))
    assert (found.vendors, found.products) == (vendors, products)


def test_rules_for_linux_sign_ins_run_on_the_class_auth() -> None:
    assert route(LogSource(product="linux", service="sshd")).classes == {LogClass.AUTH}
    assert route(LogSource(product="linux", service="sudo")).classes == {LogClass.AUTH}
