"""Table columns -> table columns; decodes nothing."""

from mediaml.derive.run import DeriveSummary, derive
from mediaml.derive.vocabulary import Vocabulary, load_vocabulary

__all__ = ["DeriveSummary", "Vocabulary", "derive", "load_vocabulary"]
