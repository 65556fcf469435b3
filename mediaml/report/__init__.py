"""HTML reports: of a lake, from its tables and nothing else; of one score (mediaml.report.score), which shows frames too; of
a check against a profile (mediaml.report.qc)."""

from mediaml.report.build import build_report

__all__ = ["build_report"]
