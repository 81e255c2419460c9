"""Indicators of known-bad things: read from feeds, matched on the stream and back in history.

The way of a feed: `stix`, `misp` or `csv_feed` read its file (`json_stream`, `patterns`, `values`), `feeds` keeps its records, `importing`
writes its indicators to the store. The way of an event: `library` holds an `index` of all that is in force, which matches batches of events
by `hashing` alone; `findings` makes detections of the matches. `history` does the same with what is kept, for the new ones of an import.
"""
