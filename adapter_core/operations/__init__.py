"""Running the adapter for years: logs, metrics, traces, health, alarms, and the work of whoever installs and upgrades it."""
