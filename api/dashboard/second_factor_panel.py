"""The panel of one's second factor: setting it up with a QR code, new recovery codes, taking it away."""

from __future__ import annotations

from html import escape
from typing import Any

from nicegui import ui

from api.dashboard.elements import panel, text, time_html
from api.dashboard.forms import field, press, shown_once
from api.dashboard.telling import done, telling
from api.dashboard.visitor import Visitor


class SecondFactorPanel:
    """Drawn anew as one goes on: nothing yet, the QR code with the field for the first code, or what is there."""

    def __init__(self, visitor: Visitor, account: dict[str, Any]) -> None:
        self._visitor = visitor
        self._account = account
        with panel(visitor.t("Second factor"), visitor.t("A code of an app on your phone, besides the password")):
            self._place = ui.element("div").classes("slip")
        self._draw()

    def _draw(self) -> None:
        self._place.clear()
        with self._place:
            if self._account["second_factor_since"]:
                self._present()
            else:
                self._absent()

    def _absent(self) -> None:
        t = self._visitor.t
        text("p", t("You have none yet. You need an authenticator app, such as those of your phone's maker."), "soft")
        password = self._password_field()

        async def begin() -> None:
            with telling(self._visitor):
                made = await self._visitor.api.post("/v1/account/second-factor", {"password": password.value if password else ""})
                self._place.clear()
                with self._place:
                    self._confirming(made.body)

        with ui.element("div").classes("actions"):
            press(t("Set up a second factor"), begin, kind="primary")

    def _confirming(self, made: dict[str, str]) -> None:
        t = self._visitor.t
        text("p", t("1. Scan this picture with the app, or type the key into it."))
        picture = made["qr"].replace("<svg", f'<svg role="img" aria-label="{escape(t("QR code with the key"), quote=True)}"', 1)
        ui.html(picture, sanitize=False).classes("qr")
        groups = " ".join(made["secret"][at : at + 4] for at in range(0, len(made["secret"]), 4))
        text("p", groups, "mono totp-secret")
        text("p", t("2. Type the code the app shows now."))
        code = field(t("Code"), autocomplete="one-time-code")

        async def confirm() -> None:
            with telling(self._visitor):
                told = await self._visitor.api.post("/v1/account/second-factor/confirm", {"code": code.value})
                due, self._account = self._account["due"], (await self._visitor.api.get("/v1/account")).body
                self._draw()
                done(t("The second factor is set up."))
                self._show_codes(told.body["codes"])
                if due:
                    with self._place:
                        ui.link(t("Go on to the overview"), "/")

        with ui.element("div").classes("actions"):
            press(t("Confirm the code"), confirm, kind="primary")

    def _present(self) -> None:
        t, account = self._visitor.t, self._account
        since = f"{escape(t('Set up'))} {time_html(account['second_factor_since'])}"
        ui.html(since, tag="p", sanitize=False)
        left = account["recovery_codes_left"]
        text("p", t.n("{count} recovery code is left.", "{count} recovery codes are left.", left), "soft")
        password, code = self._password_field(), field(t("Code"), autocomplete="one-time-code")

        def proof() -> dict[str, str]:
            return {"password": password.value if password else "", "code": code.value}

        async def renew() -> None:
            with telling(self._visitor):
                codes = (await self._visitor.api.post("/v1/account/recovery-codes", proof())).body["codes"]
                self._account["recovery_codes_left"] = len(codes)
                self._draw()
                self._show_codes(codes)

        async def remove() -> None:
            with telling(self._visitor):
                await self._visitor.api.post("/v1/account/second-factor/remove", proof())
                self._account["second_factor_since"] = None
                self._draw()
                done(t("The second factor is removed."))

        with ui.element("div").classes("actions"):
            press(t("New recovery codes"), renew)
            if not account["second_factor_required"]:
                press(t("Remove the second factor"), remove, kind="danger")

    def _password_field(self) -> ui.input | None:
        t = self._visitor.t
        return field(t("Your password"), password=True, autocomplete="current-password") if self._account["has_password"] else None

    def _show_codes(self, codes: list[str]) -> None:
        t = self._visitor.t
        note = t("Each stands in once for a code of the app, when the phone is lost. Print them, or keep them where only you read them.")
        with self._place:
            shown_once(self._visitor, t("Your recovery codes"), note, codes)
