"""The first page: how the city stands now."""
