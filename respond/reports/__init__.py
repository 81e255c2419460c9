"""Accident reports of agencies to the Mayor (article 19(3)): drafting, submitting, follow-ups, closing, and their versions."""
