"""The audit page: the trail, the ledger, and the proof of both."""
