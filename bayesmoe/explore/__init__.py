"""A page on this machine that answers while one moves the numbers of a scenario."""
