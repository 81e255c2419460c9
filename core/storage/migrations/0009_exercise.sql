-- The drill a line belongs to; empty for what is real (docs/drills.md).

ALTER TABLE events
    ADD COLUMN IF NOT EXISTS `exercise` LowCardinality(String) AFTER `intake_flags`;

ALTER TABLE quarantine
    ADD COLUMN IF NOT EXISTS `exercise` LowCardinality(String) AFTER `intake_flags`;

ALTER TABLE detections
    ADD COLUMN IF NOT EXISTS `exercise` LowCardinality(String) AFTER `peer_ip`;
