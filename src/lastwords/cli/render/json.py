"""Prints documents of the core as they are."""

from __future__ import annotations

import click

__all__ = ["write_document"]


def write_document(document: bytes) -> None:
    """Write one JSON document and a line feed to stdout."""
    click.echo(document)
