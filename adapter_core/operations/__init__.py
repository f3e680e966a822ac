"""Keeping it running: logs, metrics, traces, alarms, backup, upgrade, going live."""
