"""Processes: the one place that builds clients, the services and the command line."""
