"""Scores: a pair or many pairs of pictures or sounds, and one file without a reference."""
