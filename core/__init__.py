"""The ground every stage stands on: settings, errors, time, metrics, the event table, bus, store and engine. Imports nothing of ours."""
