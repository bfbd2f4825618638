"""Checkpoints in and out: hub names and folders, safetensors, Orbax, LoRA adapters. Shared by all model families."""
