"""Start the studio: ``python app.py``. Also what a Hugging Face Space runs."""

import sys

from studio.cli import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
