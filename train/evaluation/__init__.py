"""Measures of a trained run, and pictures of it."""
