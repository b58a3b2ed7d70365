"""Typed settings of every verb."""
