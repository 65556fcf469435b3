"""What a bridge must beat: behaviour alone (popularity, ItemKNN, EASE, iALS) and content alone (kNN, ridge)."""

from mediaml.rec.baselines.behaviour import EASE, IALS, ItemKNN, Popularity
from mediaml.rec.baselines.blend import EASEPlusContent
from mediaml.rec.baselines.by_content import ContentKNN, ContentRidge

__all__ = ["EASE", "IALS", "ContentKNN", "ContentRidge", "EASEPlusContent", "ItemKNN", "Popularity"]
