"""Submissions' tokens: the job that a repeated submission gets, and the end of their time."""

from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import SQLAlchemyError

from . import tables
from .database import storage_error

_token = tables.submission_token.c


def forget_tokens(engine: Engine, before_at: float) -> int:
    """Delete tokens older than *before_at* and return their number; for the start, before the writer.

    Raises StorageError.
    """
    try:
        with engine.begin() as connection:
            return connection.execute(delete(tables.submission_token).where(_token.at < before_at)).rowcount
    except SQLAlchemyError as error:
        raise storage_error(error, engine) from error


def find_token(engine: Engine, token: str) -> int | None:
    """Return the id of the job that was submitted with *token*.  Raises StorageError."""
    try:
        with engine.connect() as connection:
            return connection.scalar(select(_token.job_id).where(_token.token == token))
    except SQLAlchemyError as error:
        raise storage_error(error, engine) from error
