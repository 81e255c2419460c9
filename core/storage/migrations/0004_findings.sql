-- What found a detection, when, and what more it has to say.

ALTER TABLE detections
    ADD COLUMN IF NOT EXISTS `kind` LowCardinality(String) AFTER `rule_tags`,
    ADD COLUMN IF NOT EXISTS `origin` LowCardinality(String) AFTER `kind`,
    ADD COLUMN IF NOT EXISTS `details` String AFTER `origin`;
