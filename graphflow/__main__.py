"""`python -m graphflow`: see tools/cli.py."""

import sys

from graphflow.tools.cli import main

sys.exit(main())
