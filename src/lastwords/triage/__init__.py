"""Issues and their states."""
