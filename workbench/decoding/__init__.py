"""Vectors back to text: soft prompts or caches are read by the backbone, batched and KV-cached."""
