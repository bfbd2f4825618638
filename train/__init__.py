"""Training that aligns the frozen Chronos-2 encoder with language, and the smart-home data it learns from."""
