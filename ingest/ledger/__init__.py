"""The intake ledger: per agency, source and hour `received = stored + quarantined` and `stored = evaluated`, chained by hashes.

- `receiving` counts what is received, message by message, from the headers on `logs.raw`: a reader of its own, that trusts no other stage.
- `counting` puts beside it what the store holds, and how far the detector said it came.
- `closing` enters an hour once every stage has passed it; what changes later is a further entry, never another text of an old one.
- `chain` is how entries follow one another; `checking` walks it, counts all again, and says what is wrong and where.
"""
