"""Language and theme, kept in two cookies of the browser: they hold before anybody has logged in."""

from __future__ import annotations

from typing import Final, Literal

from fastapi import Request
from fastapi.responses import Response

from api.dashboard.texts import LANGUAGES, Language, Texts

Theme = Literal["light", "dark", "auto"]

LANGUAGE_COOKIE: Final = "bongsu_language"
THEME_COOKIE: Final = "bongsu_theme"  # the theme button in static/bongsu.js sets it too
_YEAR: Final = 365 * 24 * 3600


def texts_of(request: Request) -> Texts:
    """The texts in the language chosen, else the first of the browser's that we have, else Korean."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    wished = [chosen or "", *request.headers.get("Accept-Language", "").lower().split(",")]
    found = (language for wish in wished for language in LANGUAGES if wish.strip().startswith(language))
    return Texts(next(found, "ko"))


def theme_of(request: Request) -> Theme:
    """The theme chosen, else as the system has it."""
    match request.cookies.get(THEME_COOKIE):
        case "light":
            return "light"
        case "dark":
            return "dark"
        case _:
            return "auto"


def other_language(language: Language) -> Language:
    """The language to offer."""
    return LANGUAGES[1 - LANGUAGES.index(language)]


def remember(answer: Response, language: Language | None, theme: Theme | None) -> None:
    """Keep what was chosen for a year."""
    for cookie, value in ((LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)):
        if value is not None:
            answer.set_cookie(cookie, value, max_age=_YEAR, path="/", samesite="lax")
