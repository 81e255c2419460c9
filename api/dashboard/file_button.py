"""The button that brings a file of the visitor's. The one that comes with an upload has no name; ours opens it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import events, ui

from api.dashboard.visitor import Visitor


def file_button(visitor: Visitor, label: str, most: int, take: Callable[[events.UploadEventArguments], Awaitable[None]]) -> None:
    """A button called `label`; a file of at most `most` MiB is given to `take` at once, a larger one is refused with a word."""
    t = visitor.t

    async def taken(event: events.UploadEventArguments) -> None:
        await take(event)
        if not upload.is_deleted:  # taking it may have built the page anew
            upload.reset()

    def too_large() -> None:
        ui.notify(t("A file has at most {size} MiB here.", size=most), type="negative", position="bottom")

    upload = ui.upload(auto_upload=True, max_file_size=most << 20, on_upload=taken, on_rejected=too_large).classes("attach")
    button = ui.button(label, color=None, icon="attach_file").props("flat no-caps").classes("pick-file")
    button.on("click", js_handler=f"() => getElement({upload.id}).pickFiles()")
