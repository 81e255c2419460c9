"""The REST API and the dashboard, one FastAPI application."""
