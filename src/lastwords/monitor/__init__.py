"""The plan for the native monitor: which dumps, under which names, of which process."""
