-- What is looked up beside the order of the table, without reading it whole:
-- an address (bloom filter); one line by its position and the newest arrivals (ranges per granule); per part the highest offset of each
-- partition of logs.raw, where a writer resumes; per part when each source was last heard.

ALTER TABLE events
    ADD INDEX IF NOT EXISTS src_ip_seen src_ip TYPE bloom_filter(0.01) GRANULARITY 2,
    ADD INDEX IF NOT EXISTS dst_ip_seen dst_ip TYPE bloom_filter(0.01) GRANULARITY 2,
    ADD INDEX IF NOT EXISTS raw_offset_range raw_offset TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS received_at_range received_at TYPE minmax GRANULARITY 1,
    ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition),
    ADD PROJECTION IF NOT EXISTS sources (SELECT agency, source, max(received_at), count() GROUP BY agency, source);
ALTER TABLE events
    MATERIALIZE INDEX src_ip_seen,
    MATERIALIZE INDEX dst_ip_seen,
    MATERIALIZE INDEX raw_offset_range,
    MATERIALIZE INDEX received_at_range,
    MATERIALIZE PROJECTION positions,
    MATERIALIZE PROJECTION sources;

ALTER TABLE quarantine
    ADD INDEX IF NOT EXISTS raw_offset_range raw_offset TYPE minmax GRANULARITY 1,
    ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition),
    ADD PROJECTION IF NOT EXISTS sources (SELECT agency, source, max(received_at), count() GROUP BY agency, source);
ALTER TABLE quarantine
    MATERIALIZE INDEX raw_offset_range,
    MATERIALIZE PROJECTION positions,
    MATERIALIZE PROJECTION sources;

ALTER TABLE detections
    ADD INDEX IF NOT EXISTS src_ip_seen src_ip TYPE bloom_filter(0.01) GRANULARITY 2,
    ADD INDEX IF NOT EXISTS dst_ip_seen dst_ip TYPE bloom_filter(0.01) GRANULARITY 2,
    ADD INDEX IF NOT EXISTS raw_offset_range raw_offset TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS detected_at_range detected_at TYPE minmax GRANULARITY 1,
    ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition);
ALTER TABLE detections
    MATERIALIZE INDEX src_ip_seen,
    MATERIALIZE INDEX dst_ip_seen,
    MATERIALIZE INDEX raw_offset_range,
    MATERIALIZE INDEX detected_at_range,
    MATERIALIZE PROJECTION positions;
