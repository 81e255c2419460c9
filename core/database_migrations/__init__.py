"""The schema's history, run by `core.database.Database.migrate`: one chain for the whole product, forward only.

Scripts are named `NNNN_subject.py` and import no models: they say what the schema was then, whatever the models become.
"""
