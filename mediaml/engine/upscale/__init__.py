"""Super-resolution of files: decode -> network -> encode, resumable by segments."""
