"""Where symbols are looked for, in which order."""
