"""From a socket to an event: sources put raw lines on the bus, normalise turns them into columns."""
