"""``python -m bayesmoe``: the command line, where no script was installed."""

from bayesmoe.cli import main

if __name__ == "__main__":
    main()
