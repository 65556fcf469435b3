"""Two files as one stream of aligned pairs in one format."""
