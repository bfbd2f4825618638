"""Ours and the PyTorch reference on one machine, in alternation."""
