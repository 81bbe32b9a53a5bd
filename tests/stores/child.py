"""What the tests run in other processes: `python -m tests.stores.child DEED PATH [NUMBER]`.

`commit`: commit drains until killed, and print each revision once it is acknowledged.
`race`: take NUMBER revisions against others who want them too, and print each one won.
`claim`: claim NUMBER serials, some for what others claim them for too, and print each with its content.
`full`: under a limit on the size of files, commit until refused; print the revision, then what the refusal said.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from dnsd.errors import RevisionConflict, StoreUnavailable
from dnsd.stores.claims import SerialClaim
from dnsd.stores.sqlite import SqliteStore
from tests.stores.samples import put_drain

# Room for the schema and some commits. Unit: bytes.
FILE_LIMIT_BYTES = 256 * 1024


def _say(line: object) -> None:
    print(line, flush=True)


async def commit(store: SqliteStore, _number: int) -> None:
    revision = (await store.load()).revision
    while True:
        revision = await put_drain(store, revision, node=f"edge-{revision % 7}")
        _say(revision)


async def race(store: SqliteStore, number: int) -> None:
    won = 0
    while won < number:
        try:
            _say(await put_drain(store, (await store.load()).revision))
            won += 1
        except RevisionConflict:
            continue


async def full(store: SqliteStore, _number: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES))
    revision = (await store.load()).revision
    try:
        while True:
            revision = await put_drain(store, revision, node=f"edge-{revision}")
    except StoreUnavailable as error:
        _say(revision)
        _say(error)
    assert (await store.load()).revision == revision  # the readers of a full store go on


async def claim(store: SqliteStore, number: int) -> None:
    for count in range(number):
        content = 1 if count % 3 == 0 else os.getpid()
        digest = f"{content * 1000 + count:064x}"
        (serial,) = await store.claim_serials([SerialClaim(zone="example.org.", digest=digest, at_least=2, first=2)])
        _say(f"{serial} {digest}")


DEEDS = {"commit": commit, "race": race, "full": full, "claim": claim}


async def _main(deed: str, path: str, number: int) -> None:
    store = SqliteStore(Path(path))
    await store.open()
    await DEEDS[deed](store, number)
    await store.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int((*sys.argv, "0")[3])))
