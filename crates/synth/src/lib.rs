//! Minidumps built byte by byte for tests, without the layouts under test
