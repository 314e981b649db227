"""From the frames of a report to its signature."""
