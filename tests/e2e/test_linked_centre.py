"""A linked centre beside a running installation: what it sends is an incident of its agency, through every stage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

from tests.linked_centres import alert
from tests.servers.centre import RunningCentre


def test_an_alert_of_a_linked_centre_becomes_an_incident(tmp_path: Path) -> None:
    agencies = [{"id": "seogu", "name_ko": "서구청"}, {"id": "parks", "name_ko": "공원녹지사업소"}]
    centre = RunningCentre(tmp_path, {"agencies": agencies, "intake": {"listeners": []}})
    try:
        centre.start()
        lead = centre.user("lead", "soc_lead")
        lead.headers["Origin"] = centre.url
        made = lead.post("/v1/centres", json={"agency": "seogu", "name": "seogu-soc", "name_ko": "서구 관제센터"})
        number = made.json()["number"]
        assert lead.post(f"/v1/centres/{number}/activate", json={}, headers={"If-Match": made.headers["etag"]}).status_code == 200
        delegated = lead.post("/v1/delegations", json={"agency": "parks", "centre": number, "reason": "twelve employees"})
        assert delegated.status_code == 201, delegated.text
        key = centre.command("keys", "create", "SIEM", "--role", "linked_centre", "--centre", number, "--days", "90").strip()
        with httpx.Client(base_url=centre.url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as machine:
            for _ in range(3):
                assert machine.post("/v1/alerts", json=alert(agency="parks")).status_code == 202
            assert machine.post("/v1/alerts", json=alert(agency="seogu")).status_code == 403
        officer = centre.user("officer", "agency_officer", "parks")
        incident = _wait_for_incident(officer)
        assert (incident["title"], incident["agency"], incident["detections"]) == ("SQL injection", "parks", 1)
        assert lead.get("/v1/counters").json()["centres"] == {"up": 1, "late": 0, "down": 0}
        assert lead.get("/v1/delegations/map").json()["unwatched"] == ["seogu"]
        assert centre.stop() == 0
    finally:
        centre.close()


def _wait_for_incident(client: httpx.Client, seconds: float = 60.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if items := client.get("/v1/incidents").json()["items"]:
            return items[0]  # type: ignore[no-any-return]
        time.sleep(0.2)
    raise AssertionError("no incident")
