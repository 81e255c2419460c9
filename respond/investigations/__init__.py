"""Investigations of accidents (article 19(1)): findings in versions, and the chain of custody of what was taken as evidence."""
