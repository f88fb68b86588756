"""Lets `python -m tutelage` be the command line."""

from tutelage.main import run

run()
