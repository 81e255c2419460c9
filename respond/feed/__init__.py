"""The mayor's office feed: what was received, entry by entry, and issues of whole periods that never change once given out."""
