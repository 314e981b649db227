//! Ways to die, for tests: a C library of faults
