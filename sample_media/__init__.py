"""Seconds-long media for the demo and the guide: clips of our own making, and real ones with a known licence.

`python -m sample_media.assemble DIR` makes the directory; SOURCES.md says where everything comes from. Nothing of it is
part of the repository.
"""
