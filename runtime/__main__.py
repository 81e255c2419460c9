"""`python -m runtime` is the command `bongsu`."""

from runtime.cli import main

main()
