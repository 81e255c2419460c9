"""Who looks at a page: their identity, language and theme, checked again as long as the page stays open."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request

from api.auth import sessions
from api.auth.sessions import Rules
from api.centre import Centre
from api.dashboard.client import Api
from api.dashboard.preferences import texts_of, theme_of
from api.dashboard.texts import Texts
from api.rule_titles import RuleTitles
from core.errors import Unauthenticated
from core.permissions import Principal


@dataclass
class Visitor:
    """One open page. `principal` is as of the last `recheck`."""

    centre: Centre
    principal: Principal
    t: Texts
    theme: str
    path: str
    api: Api
    titles: RuleTitles

    @classmethod
    async def of(cls, request: Request) -> Visitor:
        """Whoever sent `request`, which has passed the gate; what rules are called is brought up to date."""
        await request.state.rule_titles.look()
        return cls.known(request)

    @classmethod
    def known(cls, request: Request) -> Visitor:
        """As `of`, with what is known by now."""
        known, t, theme = request.state, texts_of(request), theme_of(request)
        return cls(known.centre, known.principal, t, theme, request.url.path, Api(request), known.rule_titles)

    @property
    def login_url(self) -> str:
        """Where to go when the session has ended."""
        return f"/login?next={quote(self.path, safe='/')}"

    async def recheck(self) -> None:
        """See that the session still holds and what it may do now; Unauthenticated when it ended."""
        found = await asyncio.to_thread(sessions.still_valid, self.centre.database, self.principal, Rules.of(self.centre.settings.api))
        if found is None:
            raise Unauthenticated("the session ended")
        self.principal = found

    def title(self, title: str) -> str:
        """The title of an incident or a rule in the visitor's language, where the rule says it."""
        return title if self.t.language == "en" else self.titles.korean(title) or title

    def agency_name(self, agency: str) -> str:
        """The agency's name in the visitor's language; its id when the settings do not know it."""
        for known in self.centre.settings.agencies:
            if known.id == agency:
                return (known.name_en or known.name_ko) if self.t.language == "en" else known.name_ko
        return self.t.word("agency", agency)
