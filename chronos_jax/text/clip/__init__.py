"""The text tower of CLIP: configuration, Flax model and weight table."""
