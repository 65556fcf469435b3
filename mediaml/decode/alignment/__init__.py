"""Which frame of a reference each frame of an encode shows: the clock, the events on it, the geometry."""
