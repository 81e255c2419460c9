-- What counts for correlations, and what fired: the state of the correlate stage, for as long as a window and the lateness allowed.

CREATE TABLE IF NOT EXISTS matches
(
    `shard_epoch` LowCardinality(String),
    `shard` UInt16,
    `shard_offset` UInt64 CODEC(Delta, ZSTD(1)),
    `raw_epoch` LowCardinality(String),
    `raw_partition` UInt16 CODEC(Delta, ZSTD(1)),
    `raw_offset` UInt64 CODEC(Delta, ZSTD(1)),
    `raw_line` UInt32 CODEC(Delta, ZSTD(1)),
    `received_at` DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    `agency` LowCardinality(String),
    `event_time` DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    `correlation` LowCardinality(String),
    `member` UInt8,
    `group_key` String,
    `text` String,
    `number` Nullable(Float64),
    `stands_for` UInt32,
    `event` String
)
ENGINE = {engine}
PARTITION BY toYYYYMMDD(received_at)
ORDER BY (correlation, group_key, event_time)
TTL toDateTime(received_at) + INTERVAL 62 DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 536870912, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS firings
(
    `raw_epoch` LowCardinality(String),
    `raw_partition` UInt16 CODEC(Delta, ZSTD(1)),
    `raw_offset` UInt64 CODEC(Delta, ZSTD(1)),
    `raw_line` UInt32 CODEC(Delta, ZSTD(1)),
    `received_at` DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    `agency` LowCardinality(String),
    `event_time` DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    `event` String,
    `rule_id` LowCardinality(String),
    `rule_title` LowCardinality(String),
    `rule_level` LowCardinality(String),
    `rule_hash` LowCardinality(String),
    `rule_tags` LowCardinality(String),
    `group_key` String,
    `bucket` DateTime64(3, 'UTC'),
    `number` Nullable(Float64),
    `details` String,
    `fired_at` DateTime64(3, 'UTC')
)
ENGINE = {engine}
PARTITION BY toYYYYMMDD(fired_at)
ORDER BY (rule_hash, group_key, bucket)
TTL toDateTime(fired_at) + INTERVAL 62 DAY
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 536870912, fsync_after_insert = 1, fsync_part_directory = 1;

-- Per part the highest offset of each order of arrival, where the stage resumes.
ALTER TABLE matches
    ADD PROJECTION IF NOT EXISTS positions (SELECT shard, raw_epoch, raw_partition, max(raw_offset) GROUP BY shard, raw_epoch, raw_partition);
ALTER TABLE firings
    ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition);
