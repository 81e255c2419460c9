"""Telling people and machines what happened: routes, channels, whoever is on call."""
