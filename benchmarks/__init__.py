"""Measures the toolkit itself: published tables, speed, peers, faults, endurance; writes docs/RESULTS.md."""
