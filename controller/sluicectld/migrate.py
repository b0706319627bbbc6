"""`python -m sluicectld.migrate -f CONF`: bring the database to the schema of this release."""

import sys
from pathlib import Path

import click
from sqlalchemy import make_url

from sluice.config.load import load
from sluice.errors import SluiceError
from sluice.standard_streams import run_printing
from sluice_migrations.head import HEAD
from sluicectld.store import schema
from sluicectld.store.database import name_of


@click.command()
@click.option("-f", "path", required=True, metavar="FILE", help="Configuration file.")
def main(path: str) -> None:
    """Upgrade the database's schema."""
    try:
        settings = load(path).settings
        Path(settings.state_save_location).mkdir(mode=0o700, parents=True, exist_ok=True)
        is_changed = schema.upgrade(settings.database_url)
    except (SluiceError, OSError) as error:
        print(f"sluice: error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    where = name_of(make_url(settings.database_url))
    print(f"database {where}: schema version {HEAD}{', upgraded' if is_changed else ' already'}")


if __name__ == "__main__":
    run_printing("sluice", main)
