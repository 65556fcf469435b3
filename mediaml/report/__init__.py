"""HTML reports: of a lake, from its tables and nothing else; of one score (mediaml.report.score), which shows frames too."""

from mediaml.report.build import build_report

__all__ = ["build_report"]
