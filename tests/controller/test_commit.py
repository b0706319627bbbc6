"""What waits for a commit: each for itself."""

import asyncio
from pathlib import Path

from sluice.errors import StorageError
from sluicectld.commit import Committer
from sluicectld.store.batch import Batch
from sluicectld.store.schema import upgrade


def test_one_that_fails_keeps_no_other_from_its_reply_and_effects(tmp_path: Path) -> None:
    """A reply that cannot be written must not hold back the orders that were committed with it."""
    url = f"sqlite:///{tmp_path}/sluice.db"
    upgrade(url)
    told = []

    def stumble(error: StorageError | None) -> None:
        told.append("first")
        raise OverflowError("a number too large for the wire")

    async def main() -> None:
        committer = Committer(url, Batch, lambda error: None)
        done = asyncio.Event()
        committer.after_commit(stumble, has_changed=True)
        committer.after_commit(lambda error: told.append("second"), has_changed=True)
        committer.after_commit(lambda error: done.set(), has_changed=True)
        await asyncio.wait_for(done.wait(), 20)
        await committer.close()

    asyncio.run(main())

    assert told == ["first", "second"]
