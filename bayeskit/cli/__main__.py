"""``python -m bayeskit.cli``."""

from bayeskit.cli import main

if __name__ == "__main__":
    main()
