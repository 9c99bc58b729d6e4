"""``python -m cropflow``."""

from cropflow.cli import main

if __name__ == "__main__":
    main()
