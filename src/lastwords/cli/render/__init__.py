"""Turns results into text or JSON; never computes."""
