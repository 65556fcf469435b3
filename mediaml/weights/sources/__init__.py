"""One module a kind of source. Each brings files into a private folder; none of them decides whether a file is right."""
