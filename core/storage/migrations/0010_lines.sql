-- How many lines a row of quarantine stands for, where that is not one: a message that cannot be read, the blank lines of a message
-- (docs/ledger.md).

ALTER TABLE quarantine
    ADD COLUMN IF NOT EXISTS `lines` Nullable(UInt32);
