"""The command `lume-services`: one module per group of commands."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from lume_services.cli.app import app

    app()
