"""What dictionaries of the operator say about an event's addresses and names: columns beside what the line itself tells."""
