"""How far a replay is, on stderr: over and over on one line of a terminal, each tenth elsewhere."""

import sys
import time

import click


class Progress:
    """Called with how many jobs have ended, and of how many."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._tenths = 0
        self._is_terminal = sys.stderr.isatty()

    def __call__(self, ended: int, total: int) -> None:
        percent = 100 * ended // total
        if self._is_terminal:
            click.echo(f"\r{percent:3} % of {total:,} jobs", nl=False, err=True)
        elif percent // 10 > self._tenths:
            self._tenths = percent // 10
            click.echo(f"{10 * self._tenths} % of {total:,} jobs", err=True)

    def end(self, passes: int) -> None:
        took_s = time.perf_counter() - self._began_s
        begin = "\r" if self._is_terminal else ""
        click.echo(f"{begin}passes: {passes:,} in {took_s:.1f} s", err=True)
