"""Jobs: analyse, scrub, sign, group."""
