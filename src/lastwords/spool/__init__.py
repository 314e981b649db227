"""Reports on the user's disk: new, pending, completed.

`writer` makes reports and is imported by `install()`; `spool` lists, claims and moves them;
`prune` and `recover` keep the directory small and whole. Sending is not done here.
"""
