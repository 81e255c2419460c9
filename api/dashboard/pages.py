"""The pages of the dashboard, in the order of the way through them, and who may open which.

What a page shows, and what may be done there, is decided by the API's routes; here is only whether it is of any use to somebody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.dashboard.texts import Texts
from core.permissions import Action, Principal


@dataclass(frozen=True, slots=True)
class Page:
    """A page with a place in the navigation. `may` are the permissions any of which makes it useful; none: everybody's."""

    path: str
    icon: str
    may: Sequence[Action] = ()

    def is_for(self, caller: Principal) -> bool:
        """Whether `caller` finds something there."""
        return not self.may or any(caller.may(action) for action in self.may)


RESPONDING: Final = (
    *(Action.REPORTS_READ, Action.REQUESTS_READ, Action.WARNINGS_READ, Action.TEAMS_READ, Action.DRILLS_READ, Action.SHARING_READ),
    *(Action.PERSONAL_READ, Action.PERSONAL_REDACTED, Action.PERSONAL_STATUS, Action.DUTIES_READ),
)

PAGES: Final = (
    Page("/", "space_dashboard"),
    Page("/incidents", "inbox", (Action.INCIDENTS_READ,)),
    Page("/hunt", "manage_search", (Action.LOGS_READ, Action.HUNTS_RUN)),
    Page("/rules", "rule", (Action.RULES_READ,)),
    Page("/sources", "sensors", (Action.COUNTERS_READ,)),
    Page("/response", "assignment", RESPONDING),
    Page("/compliance", "balance", (Action.DUTIES_READ,)),
    Page("/mayor", "account_balance", (Action.TEAMS_APPROVE,)),
    Page("/audit", "fact_check", (Action.AUDIT_READ,)),
    Page("/admin", "settings", (Action.USERS_READ, Action.KEYS_READ, Action.SYSTEM_READ)),
)


def title(t: Texts, page: Page) -> str:
    """What the page is called."""
    titles = {
        "/": t("Overview"),
        "/incidents": t("Incidents"),
        "/hunt": t("Hunt"),
        "/rules": t("Rules"),
        "/sources": t("Sources"),
        "/response": t("Response"),
        "/compliance": t("Compliance"),
        "/mayor": t("Mayor's office"),
        "/audit": t("Audit"),
        "/admin": t("Administration"),
    }
    return titles[page.path]


def here(path: str) -> Page | None:
    """The page to which `path` belongs: the one with the longest path it begins with."""
    within = [page for page in PAGES if path == page.path or (page.path != "/" and path.startswith(page.path + "/"))]
    return max(within, key=lambda page: len(page.path), default=None)
