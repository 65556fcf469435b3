"""`python -m mediaml` is the command `mediaml`."""

from mediaml.cli import main

if __name__ == "__main__":
    main()
