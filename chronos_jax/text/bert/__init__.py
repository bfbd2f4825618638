"""The BERT family: configuration, Flax model and weight table."""
