"""``python -m pancascade``: the command line if its script is not on the path."""

from pancascade.cli.app import main

if __name__ == "__main__":  # worker processes import this file, too
    main()
