"""Many vectors at once: neighbours, maps, and the atlas that ships with the default embedder."""
