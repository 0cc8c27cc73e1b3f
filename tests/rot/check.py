"""What reading rotten files may do: give the right value, or say which file is damaged, and where."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from replicad import BackupEngine, Options
from replicad.env import Env
from replicad.errors import ConfigError, CorruptionError, LogGoneError, PoisonedError
from replicad.store.database import Database, open_database
from replicad.store.directory.options_file import option_files, read_options
from tests.crash.script import DATA, Families
from tests.rot.subject import BACKUPS, COPY, PLAIN, damaged, subject
from tests.support.inline_runner import InlineRunner, inline_env

RESTORED = Path("/restored")


class Wrong(Exception):
    """A wrong value, or an error that does not say what is damaged."""


def check(file: str, data: bytes) -> str:
    """Reads all that there is with `data` as the content of `file`: "right" or "corruption"; raises Wrong."""
    looker = _Looker(file)
    fs = damaged(file, data)
    if file.startswith(f"{BACKUPS}/"):
        looker.look_at_backup(Env(fs=fs))
    else:
        expected = subject().copied if file.startswith(f"{COPY}/") else subject().content
        directory = COPY if file.startswith(f"{COPY}/") else DATA
        if "/OPTIONS-" in file:
            looker.look_at_options(Env(fs=fs), directory)
        looker.look_at_database(fs, directory, expected)
    return "corruption" if looker.found else "right"


def _scan(database: Database, family: int, *, reverse: bool = False) -> list[tuple[bytes, bytes]]:
    return list(database.scan(family=family, reverse=reverse))


class _Looker:
    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self.found = False

    def right(self, what: str, read: Callable[[], object], expected: object) -> None:
        """One reading, which is judged by itself."""
        try:
            value = read()
        except Exception as error:
            self._judge(what, error)
            return
        if value != expected:
            raise Wrong(f"{what}: {value!r}")

    def _judge(self, what: str, error: BaseException) -> None:
        cause: BaseException | None = error
        if isinstance(cause, PoisonedError):
            cause = cause.__cause__
        if not isinstance(cause, CorruptionError):
            raise Wrong(f"{what}: {error!r}") from error
        if cause.path != self._file or cause.offset is None:
            raise Wrong(f"{what}: it names {cause.path} at {cause.offset}: {error}") from error
        self.found = True

    def look_at_database(self, fs: object, directory: Path, expected: Families) -> None:
        runner = InlineRunner()
        try:
            database = open_database(directory, subject().options, env=inline_env(fs, runner))  # type: ignore[arg-type]
        except Exception as error:
            self._judge("opening", error)
            return
        self._look_at_content(database, expected)
        if directory == DATA:
            self._look_at_log(database)
        self.right("compacting", database.compact, None)
        if database.failed is None:
            self._look_at_content(database, expected)
        self.right("closing", database.close, None)

    def _look_at_content(self, database: Database, expected: Families) -> None:
        if set(database.families) != set(expected):
            raise Wrong(f"families: {database.families}")
        for name, id in database.families.items():
            pairs = sorted(expected[name].items())
            for key in [*expected[name], b"absent"]:
                get = partial(database.get, key, family=id)
                self.right(f"get {key!r}", get, expected[name].get(key))
            self.right("scan", partial(_scan, database, id), pairs)
            self.right("reverse", partial(_scan, database, id, reverse=True), pairs[::-1])

    def _look_at_log(self, database: Database) -> None:
        """A segment that is passed over as a whole is named when the database opens; its log is gone then."""
        passed_over = any(note.startswith(f"{self._file}: ") for note in database.notes)

        def updates() -> object:
            return [
                (update.first_sequence, list(update.batch.operations))
                for update in database.get_updates_since(1)
            ]

        try:
            self.right("updates", updates, subject().updates)
        except Wrong as wrong:
            if not (passed_over and isinstance(wrong.__cause__, LogGoneError)):
                raise
            self.found = True

    def look_at_options(self, env: Env, directory: Path) -> None:
        def newest() -> Options:
            names = option_files(env.fs, directory)
            return read_options(env.fs, directory / names[-1])[0]

        try:
            self.right("options", newest, subject().options)
        except Wrong as wrong:
            if not (isinstance(wrong.__cause__, ConfigError) and str(self._file) in str(wrong.__cause__)):
                raise
            self.found = True

    def look_at_backup(self, env: Env) -> None:
        with BackupEngine(BACKUPS, PLAIN, env=env) as engine:
            id = subject().backup
            try:
                engine.restore_backup(id, RESTORED)
            except Exception as error:
                self._judge("restoring", error)
                return
        with open_database(RESTORED, subject().options, env=env) as restored:
            self._look_at_content(restored, subject().copied)
