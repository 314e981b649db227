"""Random damage to real files, read by the real core in a child that may die.

`python -m fuzz` (`make fuzz`) damages seed files for `FUZZ_SECONDS` per target. A finding is an
input at which the child dies, passes its deadline or its memory limit, or answers with an error
that is no orderly refusal; it is kept in `fuzz/findings/`. `FUZZ_SEED` repeats a run, but for the
seeds of our own, which are made anew each time. `FUZZ_TARGETS=own,json` runs some targets only.
"""
