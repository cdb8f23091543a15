"""`python -m cs231n`."""

from cs231n.cli import main

if __name__ == "__main__":  # worker processes import this module, too
    main()
