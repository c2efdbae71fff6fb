"""`python -m anacc` is the command line."""

from anacc.cli import main

if __name__ == "__main__":
    main()
