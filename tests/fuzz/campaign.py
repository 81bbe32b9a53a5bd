"""A campaign that follows coverage: atheris makes packets, and keeps those that lead to new places in the core.

    python -m tests.fuzz.campaign --seconds 300

It ends at the first fault, and leaves the packet in a file that it names; put that into the corpus as `fault-` and what
it was, and a test replays it. Without a fault, what it has found joins the corpus, and what is no longer of use leaves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

# Longer packets show nothing that shorter ones do not, and take their time. Unit: bytes.
MOST_BYTES = 1500

# What no packet may take. Unit: seconds.
MOST_SECONDS = 2


def main() -> int:
    """Run a campaign, in a process of its own, and renew the corpus."""
    parser = argparse.ArgumentParser(description="Fuzz the core with atheris.")
    parser.add_argument("--seconds", type=int, default=300, help="how long; 300")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.into is not None:
        _fuzz(options.into, options.seconds)
    try:
        import atheris  # noqa: F401 - to tell whether it is there
    except ImportError:
        version = ".".join(map(str, sys.version_info[:2]))
        print(f"No campaign: atheris is not there for Python {version}. `make test` has the corpus and hypothesis.")
        return 0
    return _campaign(options.seconds)


def _campaign(seconds: int) -> int:
    from tests.fuzz.corpus import FOLDER, kept, packets, replace

    with tempfile.TemporaryDirectory(prefix="dnsd-fuzz-") as folder:
        command = [sys.executable, "-m", "tests.fuzz.campaign", "--seconds", str(seconds), "--into", folder]
        status = subprocess.run(command).returncode
        if status:
            return status
        found = packets(Path(folder))
    before = packets(FOLDER)
    chosen = kept([*before.values(), *found.values()])
    replace(FOLDER, chosen)
    after = packets(FOLDER)
    print(f"corpus: {len(before)} packets before, {len(found)} found, {len(after)} kept, "
          f"{sum(map(len, after.values()))} bytes")  # fmt: skip
    return 0


def _fuzz(into: Path, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["dnsd.core"]):
        from tests.fuzz.checking import Checker
    from tests.fuzz.corpus import FOLDER

    checker = Checker()

    def check(packet: bytes) -> None:
        checker.check(packet)

    limits = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}"]
    more = ["-print_final_stats=1", f"-artifact_prefix={tempfile.gettempdir()}/dnsd-"]
    atheris.Setup([sys.argv[0], str(into), str(FOLDER), *limits, *more], check)
    atheris.Fuzz()


if __name__ == "__main__":
    raise SystemExit(main())
