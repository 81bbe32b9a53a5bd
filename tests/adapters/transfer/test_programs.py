"""What dig and kdig get."""

from __future__ import annotations

import asyncio
import base64
import shutil

import pytest

from dnsd.config.transfer import TransferKey
from tests.adapters.transfer.world import (
    ALGORITHMS,
    FIRST_SERIAL,
    ZONE,
    Served,
    Versions,
    key,
    record,
    records,
    secondary,
    serving,
)
from tests.support.servers import PATIENCE_SECONDS

EDGE = "edge.example.org. 60 IN A 192.0.2.11"


async def run(program: str, served: Served, *words: str, of: TransferKey | None = None) -> str:
    """Return what a program writes."""
    found = shutil.which(program)
    assert found is not None, f"{program} is missing: scripts/provide-test-tools brings it"
    signing = [] if of is None else ["-y", f"{of.algorithm}:xfr-key.:{base64.b64encode(of.secret).decode()}"]
    host, port = served.endpoint
    command = [found, f"@{host}", "-p", str(port), *signing, "+tcp", "+nocookie", *words]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, _ = await process.communicate()
    return output.decode()


def lines(output: str) -> list[str]:
    """Return the records that were written, TSIG aside, with one space between their fields."""
    found = [" ".join(line.split()) for line in output.splitlines() if line and line[0] != ";"]
    return [line for line in found if " ANY TSIG " not in line]


@pytest.mark.parametrize("program", ["dig", "kdig"])
async def test_dig_and_kdig_read_zones_and_differences(program: str) -> None:
    """AXFR without a key and with each algorithm, IXFR, and the refusals that they show."""
    keys = [key(algorithm=algorithm) for algorithm in ALGORITHMS]
    for of in (None, *keys):
        versions = Versions(records(ZONE))
        async with serving(versions, secondary(signs=of)) as served:
            soa = "example.org. 300 IN SOA ns1.example.org. hostmaster.example.org. {} 7200 900 1209600 60"
            whole = lines(await run(program, served, "example.org", "AXFR", of=of))
            assert whole[0] == whole[-1] == soa.format(FIRST_SERIAL)
            assert len(whole) == 2 + len(records(ZONE))
            assert EDGE in whole
            versions.change(removed=[record(EDGE.replace(" IN", ""))])
            output = await run(program, served, "example.org", f"IXFR={FIRST_SERIAL}", of=of)
            first, second = soa.format(FIRST_SERIAL), soa.format(FIRST_SERIAL + 1)
            assert lines(output) == [second, first, EDGE, second, second]
            output = await run(program, served, "example.org", f"IXFR={FIRST_SERIAL + 1}", of=of)
            assert lines(output) == [second]
            assert served.count("axfr") == 1
    async with serving(versions, secondary(signs=keys[0])) as served:
        assert "REFUSED" in await run(program, served, "example.org", "SOA")
        assert "Prohibited" in await run(program, served, "example.org", "SOA", "+edns")
        wrong = await run(program, served, "example.org", "SOA", of=key(secret=b"x" * 32))
        assert "BADSIG" in wrong
        assert "BADKEY" in await run(program, served, "example.org", "SOA", of=keys[1])
        assert served.count("refused") == 4
