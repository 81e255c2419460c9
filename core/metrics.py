"""Every metric the product exposes, in one list. Names follow Prometheus practice: unit suffix, `_total` on counters."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Intake
LINES_RECEIVED = Counter("bongsu_intake_lines_total", "Lines durably on the bus", ["transport", "agency"])
BYTES_RECEIVED = Counter("bongsu_intake_bytes_total", "Bytes of lines durably on the bus", ["transport", "agency"])
LINES_EMPTY = Counter("bongsu_intake_empty_lines_total", "Empty lines passed over", ["transport"])
LINES_TRUNCATED = Counter("bongsu_intake_truncated_lines_total", "Lines cut at the longest kept length", ["transport"])
DATAGRAMS_DROPPED = Counter("bongsu_intake_dropped_datagrams_total", "UDP datagrams that came while the bus was full", ["listener"])
CONNECTIONS = Gauge("bongsu_intake_connections", "Open stream connections", ["listener"])
CONNECTIONS_REFUSED = Counter("bongsu_intake_refused_connections_total", "Connections closed because there were too many", ["listener"])
FRAMING_ERRORS = Counter("bongsu_intake_framing_errors_total", "Connections closed for broken framing", ["listener"])
MASKED = Counter("bongsu_masked_total", "Personal numbers and secrets masked before anything was kept", ["kind", "agency"])
BACKPRESSURE = Counter("bongsu_intake_backpressure_total", "Times a sender was made to wait", ["transport"])

# Normalise
LINES_NORMALISED = Counter("bongsu_normalised_lines_total", "Lines parsed into events", ["parser"])
LINES_QUARANTINED = Counter("bongsu_quarantined_lines_total", "Lines put into quarantine", ["reason"])

DICTIONARY_ENTRIES = Gauge("bongsu_dictionary_entries", "Entries of a dictionary of enrichment in use", ["dictionary"])
DICTIONARY_BROKEN = Gauge(
    "bongsu_dictionary_broken", "1 when the file of a dictionary cannot be used; what was read before stays", ["dictionary"]
)

# Store
ROWS_STORED = Counter("bongsu_stored_rows_total", "Rows written", ["table"])
MESSAGES_UNREADABLE = Counter("bongsu_store_unreadable_messages_total", "Messages passed over because they hold no rows of ours", ["topic"])
ROWS_REPEATED = Counter("bongsu_repeated_rows_total", "Rows of a repeated delivery that were already stored", ["table"])
EXERCISE_TICKETS = Counter("bongsu_exercise_tickets_total", "Tickets of exercises that were shown, by what became of them", ["outcome"])
LEDGER_ENTRIES = Counter("bongsu_ledger_entries_total", "Entries of the intake ledger, by whether their numbers agree", ["outcome"])

# Detect
EVENTS_EVALUATED = Counter("bongsu_evaluated_events_total", "Events run through the rule set")
DETECTIONS = Counter("bongsu_detections_total", "Detections raised", ["rule"])
CORRELATIONS_NOT_JUDGED = Counter(
    "bongsu_correlations_not_judged_total", "Times a key of a correlation had more matches within reach than can be looked at", ["rule"]
)
INDICATORS = Gauge("bongsu_indicators", "Indicators in use on the stream", ["feed"])
RULES_LOADED = Gauge("bongsu_rules", "Rules by state", ["state"])
RULES_RELOADED = Counter("bongsu_rules_reloaded_total", "Times the rules were read anew because a file changed", ["outcome"])
DETECTIONS_OFF = Counter("bongsu_switched_off_detections_total", "Detections left out because the rule is off at the agency", ["rule"])
BASELINE_TICKS = Counter("bongsu_baseline_ticks_total", "Ticks of the baselines' detectors", ["detector", "outcome"])
BASELINE_BEHIND = Gauge("bongsu_baseline_behind_seconds", "Since the end of the last window a detector has looked at", ["detector"])
HUNTS_FAILED = Counter("bongsu_failed_hunts_total", "Searches through history that ended without an answer", ["kind"])
HUNTED_ROWS = Counter("bongsu_hunted_rows_total", "Stored events searches through history have looked at", ["kind"])

# Respond
INCIDENTS_OPENED = Counter("bongsu_incidents_opened_total", "Incidents opened", ["severity"])
DETECTIONS_SILENCED = Counter("bongsu_silenced_detections_total", "Detections that a silence kept from incidents")
DETECTIONS_SUPPRESSED = Counter("bongsu_suppressed_detections_total", "Detections counted in an incident without keeping their line")
ALERTS_RECEIVED = Counter("bongsu_centre_alerts_total", "Alerts of linked centres taken", ["centre"])
CENTRE_SILENT = Gauge("bongsu_centre_silent_seconds", "Since the last call of an active linked centre", ["centre"])

# Every stage
STAGE_BATCHES = Counter("bongsu_stage_batches_total", "Batches handled", ["stage"])
STAGE_SECONDS = Histogram("bongsu_stage_batch_seconds", "Time to handle one batch", ["stage"])
STAGE_RETRIES = Counter("bongsu_stage_retries_total", "Batches tried again after a failure that may pass", ["stage"])
MESSAGES_SKIPPED = Counter("bongsu_skipped_messages_total", "Messages passed over because they cannot be read", ["stage"])
BUS_LAG = Gauge("bongsu_bus_lag_messages", "Messages not yet committed", ["group", "topic"])

DELIVERIES = Counter("bongsu_deliveries_total", "News that went out, failed once more, or was given up", ["channel", "outcome"])

# What is done now and then
TURNS = Counter("bongsu_periodic_turns_total", "Turns of what is done now and then", ["task", "outcome"])

# API
REQUESTS = Counter("bongsu_http_requests_total", "HTTP requests", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "bongsu_http_request_seconds", "Until an answer began", ["route"], buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)
)
LOGINS = Counter("bongsu_logins_total", "Attempts to log in", ["outcome"])
