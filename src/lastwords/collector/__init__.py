"""Reports come in over HTTP."""
