"""The HTML report: reads tables, nothing else."""

from mediaml.report.build import build_report

__all__ = ["build_report"]
