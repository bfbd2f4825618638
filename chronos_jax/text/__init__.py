"""Pretrained text encoders: tokens, the BERT family, the text tower of CLIP, and embeddings of texts."""
