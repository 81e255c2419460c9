-- Skip indexes for what is looked up beside time: an address, and one line by its position. And per part the highest offset of each
-- partition of logs.raw, so that a writer finds where to resume without reading the table.

ALTER TABLE events ADD INDEX IF NOT EXISTS src_ip_seen src_ip TYPE bloom_filter(0.01) GRANULARITY 2;
ALTER TABLE events ADD INDEX IF NOT EXISTS dst_ip_seen dst_ip TYPE bloom_filter(0.01) GRANULARITY 2;
ALTER TABLE events ADD INDEX IF NOT EXISTS raw_offset_range raw_offset TYPE minmax GRANULARITY 1;
ALTER TABLE events ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition);
ALTER TABLE events MATERIALIZE INDEX src_ip_seen;
ALTER TABLE events MATERIALIZE INDEX dst_ip_seen;
ALTER TABLE events MATERIALIZE INDEX raw_offset_range;
ALTER TABLE events MATERIALIZE PROJECTION positions;

ALTER TABLE quarantine ADD INDEX IF NOT EXISTS raw_offset_range raw_offset TYPE minmax GRANULARITY 1;
ALTER TABLE quarantine ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition);
ALTER TABLE quarantine MATERIALIZE INDEX raw_offset_range;
ALTER TABLE quarantine MATERIALIZE PROJECTION positions;

ALTER TABLE detections ADD INDEX IF NOT EXISTS src_ip_seen src_ip TYPE bloom_filter(0.01) GRANULARITY 2;
ALTER TABLE detections ADD INDEX IF NOT EXISTS dst_ip_seen dst_ip TYPE bloom_filter(0.01) GRANULARITY 2;
ALTER TABLE detections ADD INDEX IF NOT EXISTS raw_offset_range raw_offset TYPE minmax GRANULARITY 1;
ALTER TABLE detections ADD PROJECTION IF NOT EXISTS positions (SELECT raw_epoch, raw_partition, max(raw_offset) GROUP BY raw_epoch, raw_partition);
ALTER TABLE detections MATERIALIZE INDEX src_ip_seen;
ALTER TABLE detections MATERIALIZE INDEX dst_ip_seen;
ALTER TABLE detections MATERIALIZE INDEX raw_offset_range;
ALTER TABLE detections MATERIALIZE PROJECTION positions;
