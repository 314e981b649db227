"""What lastwords promises, measured beside its peers: one module per promise.

`python -m benches` (`make bench`) prints the table and writes it into docs/performance.md. A
promise is a function without arguments that returns its rows.
"""
