"""The commands of `python -m chronos_jax`: tables in, tables and pictures out."""
