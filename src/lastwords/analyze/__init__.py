"""From a dump file to an analysis."""
