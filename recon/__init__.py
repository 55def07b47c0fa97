"""How raw k-space becomes an image; start reading at `pipeline.py`."""
