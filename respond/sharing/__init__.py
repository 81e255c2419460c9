"""Sharing of threat information (CO 22): what is drafted, released, sent to whom in which form, received, acted on, revoked.

The way of a share: `content` says what it holds, `prefill` takes it from an incident, `redaction` leaves what a recipient may see, `stix`
makes objects of that, `signed` signs them, `publishing` keeps every version; `service` and `receipts` are the two machines. `taxii` reads
what was published, `inbox` takes what agencies send, `peers` asks other parties' servers.
"""
