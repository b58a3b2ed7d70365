"""The HTML report: one page that holds every figure, picture and film of one or several runs.

    page                  writes the file
    content               headline numbers; which sections a run has
    sections              of training; evaluation_sections: of control, probes, surprise
    elements              cells, tables, sections, and how numbers are written
    reported_run          reads a run, and checks its pictures and films

Sections are built from typed results, and hold no HTML; `template.html` alone does.
"""

from worldmodel.reporting.page import report, write_page

__all__ = ["report", "write_page"]
