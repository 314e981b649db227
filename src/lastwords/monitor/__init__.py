"""The plan for the native monitor: triggers, filters, names of dumps."""
