"""`python -m dnsd`: the same as the command `dnsd`."""

import sys

from dnsd.cli.main import main

sys.exit(main())
