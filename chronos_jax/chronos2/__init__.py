"""Chronos-2: configuration, Flax model, weight table and pipeline."""
