"""`python -m aftune` is the command `aftune`."""

from aftune.cli.main import main

if __name__ == "__main__":
    main()
