"""Checks of a run table before it is fitted: outliers, copies, units, undecayed checkpoints."""
