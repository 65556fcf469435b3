"""Finding things in a lake by what they look like: search by words, picture or example, and duplicates. Decodes nothing
of the lake's media; a picture given as a query is embedded with the same model."""
