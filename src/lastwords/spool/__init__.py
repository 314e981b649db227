"""Reports on the user's disk: new, pending, completed."""
