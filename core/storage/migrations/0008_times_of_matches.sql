-- Questions for matches name a range of times, and parts are of one: whole parts need not be read.

ALTER TABLE matches
    ADD INDEX IF NOT EXISTS event_time_range event_time TYPE minmax GRANULARITY 64;
ALTER TABLE matches
    MATERIALIZE INDEX event_time_range;
