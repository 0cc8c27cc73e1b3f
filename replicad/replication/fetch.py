"""The replica's side of a bootstrap: gets the list, fetches what is missing, verifies, and leaves it staged.

Files are asked for a few ahead, so that small ones do not cost a round trip each. After a break the files
that were complete are still there; the one in the middle begins again. The present data is not touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from replicad.env import Env
from replicad.errors import ProtocolError
from replicad.replication.connection import Connection
from replicad.replication.headers import FileEntry
from replicad.replication.identify import RefusedError
from replicad.replication.messages import Copy, Data, Fetch, Files, Heartbeat, Message, Refuse
from replicad.replication.options import ReplicationOptions
from replicad.replication.ports import ReplicaData
from replicad.replication.staging import FILES_MAX, Staging, check_list
from replicad.replication.tasks import in_thread
from replicad.state.records import BootstrapProgress


class Fetcher:
    """One bootstrap over one session."""

    def __init__(
        self,
        env: Env,
        connection: Connection,
        data: ReplicaData,
        data_dir: Path,
        options: ReplicationOptions,
        on_progress: Callable[[BootstrapProgress], None],
    ) -> None:
        self._env = env
        self._connection = connection
        self._data = data
        self._data_dir = data_dir
        self._options = options
        self._on_progress = on_progress
        self.waits_for = ""

    async def run(self) -> tuple[Copy, Path]:
        """Returns when the whole copy is verified and durable in the staging directory."""
        self.waits_for = "the primary to make a copy"
        copy, entries = await self._receive_list()
        check_list(entries, copy.bytes)
        staging = Staging(self._env.fs, self._data_dir, entries)
        self.waits_for = "the files that are here already to be verified"
        local = await in_thread(self._data.local_files)
        missing = await in_thread(staging.prepare, local, self._options.free_bytes_min)
        absent = sum(entries[index].size for index in missing)
        progress = BootstrapProgress(
            copy_id=copy.copy,
            position=str(copy.position),
            files=len(entries) - len(missing),
            files_total=len(entries),
            size_bytes=copy.bytes - absent,
            size_bytes_total=copy.bytes,
            started_us=self._env.clock.wall_us(),
        )
        self._on_progress(progress)
        await self._fetch(staging, entries, missing, progress)
        await in_thread(staging.finish)
        return copy, staging.path

    async def _receive_list(self) -> tuple[Copy, list[FileEntry]]:
        copy = await self._receive()
        if not isinstance(copy, Copy):
            raise ProtocolError(f"{type(copy).__name__} came where Copy belongs")
        if copy.files > FILES_MAX:
            raise ProtocolError(f"a copy of {copy.files} files; the limit is {FILES_MAX}")
        entries: list[FileEntry] = []
        while len(entries) < copy.files:
            part = await self._receive()
            if not isinstance(part, Files) or part.first != len(entries) or not part.entries:
                raise ProtocolError("the list of files does not go on where it ended")
            entries += part.entries
        if len(entries) != copy.files:
            raise ProtocolError(f"the list has {len(entries)} files, {copy.files} were announced")
        return copy, entries

    async def _fetch(
        self, staging: Staging, entries: list[FileEntry], missing: list[int], progress: BootstrapProgress
    ) -> None:
        asked = 0
        for done, index in enumerate(missing):
            while asked < len(missing) and asked <= done + self._options.fetches_ahead:
                self._connection.send(Fetch(missing[asked], 0))
                asked += 1
            entry = entries[index]
            self.waits_for = f"{entry.name} from the primary"
            file = await in_thread(staging.writer, index)
            with contextlib.closing(file):
                while file.offset < entry.size:
                    data = await self._receive()
                    if not isinstance(data, Data) or (data.entry, data.offset) != (index, file.offset):
                        raise ProtocolError(f"not the bytes of {entry.name} from {file.offset} on")
                    if not data.payload:
                        raise ProtocolError("a Data message without data")
                    await in_thread(file.append, data.payload)
                    progress = replace(progress, size_bytes=progress.size_bytes + len(data.payload))
                    self._on_progress(progress)
                await in_thread(file.finish)
            progress = replace(progress, files=progress.files + 1)
            self._on_progress(progress)

    async def _receive(self) -> Message:
        """The next message that is not a heartbeat; a refusal is an error."""
        while True:
            message = await self._connection.receive()
            if isinstance(message, Refuse):
                raise RefusedError(message.code, message.reason, message.retry)
            if not isinstance(message, Heartbeat):
                return message
