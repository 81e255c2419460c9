-- Indicators of known-bad things (core.storage.indicators): of a feed's value the row of the newest import counts.

CREATE TABLE IF NOT EXISTS indicators
(
    `feed` LowCardinality(String),
    `type` LowCardinality(String),
    `value` String,
    `address` Nullable(IPv6),
    `prefix` UInt8,
    `import_id` UInt64,
    `first_import` UInt64,
    `valid_from` Nullable(DateTime64(3, 'UTC')),
    `valid_until` Nullable(DateTime64(3, 'UTC')),
    `confidence` UInt8,
    `tlp` LowCardinality(String),
    `source` String,
    `labels` String,
    `reference` String,
    `description` String
)
ENGINE = Replacing{engine}(import_id)
PARTITION BY feed
ORDER BY (feed, type, value)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1;
