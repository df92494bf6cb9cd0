"""Figures of Tieout: measured and printed, never asserted. `python -m benchmarks` runs them; README.md says what each
one is."""
