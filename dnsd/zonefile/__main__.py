"""Reads one zone for the process that starts it: `python -m dnsd.zonefile FD NICENESS`; see `dnsd.zonefile.apart`."""

import sys

from dnsd.zonefile.apart import main

if __name__ == "__main__":
    sys.exit(main())
