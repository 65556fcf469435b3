"""Faults made on purpose, at known times, on real pictures: what the detectors are tested and measured with."""
