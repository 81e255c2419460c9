-- What the baselines learn from (docs/baselines.md): the lines of each source in every five minutes, kept by the parts themselves; and what
-- the detectors have done, seen and told.

ALTER TABLE events
    ADD PROJECTION IF NOT EXISTS slots (SELECT agency, source, toStartOfFiveMinutes(received_at), countIf(bitAnd(intake_flags, 128) = 0) GROUP BY agency, source, toStartOfFiveMinutes(received_at));
ALTER TABLE events
    MATERIALIZE PROJECTION slots;

ALTER TABLE quarantine
    ADD PROJECTION IF NOT EXISTS slots (SELECT agency, source, toStartOfFiveMinutes(received_at), countIf(bitAnd(intake_flags, 128) = 0) GROUP BY agency, source, toStartOfFiveMinutes(received_at));
ALTER TABLE quarantine
    MATERIALIZE PROJECTION slots;

CREATE TABLE IF NOT EXISTS baseline_memory
(
    `detector` LowCardinality(String),
    `tick` UInt64,
    `agency` LowCardinality(String),
    `subject` String,
    `at` DateTime64(3, 'UTC'),
    `amount` UInt64
)
ENGINE = {engine}
PARTITION BY detector
ORDER BY (detector, agency, subject, tick)
TTL toDateTime(at) + INTERVAL 100 DAY
SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 536870912, fsync_after_insert = 1, fsync_part_directory = 1;
