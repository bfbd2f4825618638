"""Layers that the Chronos families share."""
