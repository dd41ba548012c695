"""The command line: a thin layer over the package, one file for each group of commands."""

from workbench.cli.commands import main

__all__ = ["main"]
