"""Help on the language of searches, as a dialog."""

from __future__ import annotations

from html import escape

from nicegui import ui

from api.dashboard.elements import text
from api.dashboard.hunt.buttons import tool
from api.dashboard.texts import Texts


def dialog(t: Texts) -> ui.dialog:
    """The dialog, shut."""
    rows = (
        ("select", t("events whose line holds the text, whatever the letter case")),
        ('"union select"', t("the words with the blank between them")),
        ("union*from", t("the one and later the other; ? is one character")),
        ("user:kim   user:adm*   user:*min*", t("events whose column is that text, begins with it, holds it")),
        ("src_ip:192.0.2.7   src_ip:10.0.0.0/8   src_ip:10.1.*", t("an address, a network")),
        ("dst_port:22   bytes:>1000000   dst_port:[1 TO 1023]", t("a number, or a range of numbers")),
        ("event_time:[2026-11-01 TO 2026-11-02]", t("these days, in Seoul's time")),
        ('user:*   user:""', t("the column is set, or not set")),
        ("dst_port:(22 OR 3389)", t("any of several values")),
        ("a b   a AND b   a OR b   NOT a   -a   ( )", t("both, either, not; AND binds more than OR")),
        ("intake_flags:masked", t("what intake did to the line")),
    )
    body = "".join(f"<tr><td><code>{escape(sample)}</code></td><td>{escape(said)}</td></tr>" for sample, said in rows)
    keys = (
        ("/", t("go to the search")),
        ("Enter", t("search; in the table: open the event")),
        ("↑ ↓ Tab", t("take a suggestion")),
        ("Esc", t("close what is open")),
        ("?", t("this help")),
    )
    pressed = "".join(f"<tr><td><kbd>{escape(key)}</kbd></td><td>{escape(said)}</td></tr>" for key, said in keys)
    with ui.dialog() as made, ui.element("div").classes("panel hunt-dialog"):
        text("h2", t("Searching events"))
        ui.html(f"<tbody>{body}</tbody>", tag="table", sanitize=False).classes("list")
        text("h2", t("Keys"))
        ui.html(f"<tbody>{pressed}</tbody>", tag="table", sanitize=False).classes("list")
        tool(t("Close"), made.close)
    return made
