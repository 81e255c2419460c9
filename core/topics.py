"""The topics between stages and the headers their messages carry.

| topic | a message is | written by | read by |
|---|---|---|---|
| logs.raw | many lines of one source (`ingest.rawbatch`) | ingest.sources, agencies' own producers | normalise |
| events | one Arrow IPC stream of rows of `core.events.EVENTS` | normalise | store, detect |
| quarantine | one Arrow IPC stream of rows of `core.events.QUARANTINE` | normalise | store |
| matches | one Arrow IPC stream of rows of `core.events.MATCHES`, all of one shard | detect, correlate | correlate |
| detections | one Arrow IPC stream of rows of `core.events.DETECTIONS` | detect, correlate, respond.centres | store, respond |
| evaluated | which messages of `events` were run through which rules (`detect.evaluations`) | detect | the ledger of hunts |

What a stage writes for partition p of its input goes to partition p of its output, in order. So on every partition of `events`,
`quarantine` and `detections` the raw offsets never go back except in a repeated delivery, and a reader that keeps the highest raw
offset it has handled per (epoch, partition) drops exactly the repeated rows. A message holds all rows of each raw offset it touches.

The topic `matches` is divided by what belongs together instead: a partition, there called a shard, has all matches of its pairs of
correlation and key. Within a shard the raw offsets of one (epoch, partition) never go back either.

A detection that is not made of one line as it comes (of a correlation, a hunt, a baseline, a linked centre) has a place in its maker's own
order instead: an epoch no topic has, and offsets that likewise never go back but in a repetition. The lines it is made of are named in its
`details`.
"""

from __future__ import annotations

from typing import Final

LOGS_RAW: Final = "logs.raw"
EVENTS: Final = "events"
QUARANTINE: Final = "quarantine"
MATCHES: Final = "matches"
DETECTIONS: Final = "detections"
EVALUATED: Final = "evaluated"
ALL: Final = (LOGS_RAW, EVENTS, QUARANTINE, MATCHES, DETECTIONS, EVALUATED)

# Headers of a logs.raw message; all optional, so that an agency's own producer may send a bare line.
H_SOURCE: Final = "source"
H_AGENCY: Final = "agency"
H_TRANSPORT: Final = "transport"
H_RECEIVED_AT: Final = "received_at"  # milliseconds since the epoch, decimal
H_PEER: Final = "peer"
H_FRAMING: Final = "framing"  # "lf" (lines joined by LF; the default) or "length" (each after its 4-byte big-endian length)
H_COMPRESSION: Final = "compression"  # "" or "zstd"
H_FLAGS: Final = "flags"  # IntakeFlag bits of every line, decimal
H_LINES: Final = "lines"  # how many lines, decimal
H_TIMEZONE: Final = "timezone"  # the source's configured zone, IANA name
H_EXERCISE: Final = "exercise"  # the ticket of an exercise (`core.exercise`); one that is not ours is dropped, and its lines are real
H_MASKED: Final = "masked"  # the kinds of `ingest.privacy` that our receiver masked, joined by commas; absent: nobody has looked
H_MASKED_LINES: Final = "masked_lines"  # the lines that were changed: base64 of bits, the lowest of the first byte is line 0
