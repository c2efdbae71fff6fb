"""Reports: what is in a program, as data and as text.  All of it comes from the program file."""

from anacc.reports.mapping import SCHEMA, report
from anacc.reports.text import render

__all__ = ["SCHEMA", "render", "report"]
