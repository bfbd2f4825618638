"""The command `python -m convert`: published safetensors to Orbax and back, inspected and verified."""
