"""Says at every start what is not masked, why, and who answers for it: in the log, and in the audit trail where there is one."""

from __future__ import annotations

import structlog

from core.config import MaskingSettings
from core.database import Database
from respond import audit

_ACTOR = "system:start"
_log = structlog.get_logger()


def announce(settings: MaskingSettings, database: Database | None) -> None:
    """One warning, and one row of the trail, for each kind that is turned off."""
    off = {name: {"reason": kind.reason, "approved_by": kind.approved_by} for name, kind in settings.off.items()}
    for name, answer in off.items():
        _log.warning("masking.off", kind=name, **answer)
    if off and database is not None:
        changes = [audit.Change(_ACTOR, "masking.off", f"setting/intake.masking.{name}", answer) for name, answer in off.items()]
        with database.session() as session:
            audit.record_all(session, changes)
