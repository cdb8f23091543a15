"""`python -m cs231n`."""

from cs231n.cli import main

main()
