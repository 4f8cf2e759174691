"""`python -m mooring.cli` is `mooring`: how the command starts itself again in a sandbox."""

from mooring.cli import main

if __name__ == "__main__":
    main()
