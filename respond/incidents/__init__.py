"""Incidents as cases: what people see of them and do with them. How findings become incidents is `respond.stage` and what it calls."""
