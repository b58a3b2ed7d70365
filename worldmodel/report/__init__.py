"""The HTML report: figures, videos, and the one page that holds them."""

from worldmodel.report.page import write_page
from worldmodel.report.run_files import ReportError

__all__ = ["ReportError", "write_page"]
