"""What must never be stored: found and starred out before a line leaves the receiving process."""
