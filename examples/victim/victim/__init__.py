"""Heat in a metal plate: a small simulation with a Python main loop and a C++ core."""

__version__ = "1.4.2"
