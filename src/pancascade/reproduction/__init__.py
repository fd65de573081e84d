"""Reproduce the papers' tables: published numbers, plans, trainings, and both numbers side by side."""

from pancascade.reproduction.plan import Choices
from pancascade.reproduction.published_files import find_table, published_papers, read_published
from pancascade.reproduction.published_tables import Paper, Table
from pancascade.reproduction.reproduce import Prepared, Request, prepare, reproduce, time_plan
from pancascade.reproduction.row_recipe import DataPlace
from pancascade.reproduction.training_run import Resources

__all__ = [
    "Choices",
    "DataPlace",
    "Paper",
    "Prepared",
    "Request",
    "Resources",
    "Table",
    "find_table",
    "prepare",
    "published_papers",
    "read_published",
    "reproduce",
    "time_plan",
]
