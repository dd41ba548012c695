"""`python -m workbench.cli` is the command line, as `python -m workbench` is."""

import sys

from workbench.cli import main

sys.exit(main())
