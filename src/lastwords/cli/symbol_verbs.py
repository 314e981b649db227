"""What the verbs of `lastwords symbols` have in common."""

from __future__ import annotations

import json

import click

__all__ = ["as_json", "echo", "strict_option"]

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON document.")
strict_option = click.option(
    "--strict", is_flag=True, help="End with status 5 when something could not be had."
)


def echo(document: object) -> None:
    """Print a JSON document."""
    click.echo(json.dumps(document, indent=2))
