"""What a node does about a configuration that was read again: a pure function of the old one and the new one.

The node then runs with `running`: the new values of the keys that it took over, the old ones of those that
need a restart. The next reading is compared with that, so a key that waits for a restart is named each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Generic, TypeVar

from replicad.daemon.config.model import FLAGS_ONLY, NodeConfig
from replicad.daemon.config.run_time import changes_at_run_time
from replicad.errors import ConfigError, InvalidArgument
from replicad.net.options import PORTS, TlsOptions

Config = TypeVar("Config", bound=NodeConfig)


@dataclass(frozen=True)
class Changes(Generic[Config]):
    """Keys as `section.key`, in the order of the model."""

    running: Config
    changed: tuple[str, ...]
    """Taken over."""
    needs_restart: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Ready for JSON. Values stay out of it: some are secrets."""
        return {"changed": list(self.changed), "needs_restart": list(self.needs_restart)}


def compare(old: Config, new: Config) -> Changes[Config]:
    """Raises ConfigError when what is taken over does not go together with what needs a restart."""
    changed: list[str] = []
    needs_restart: list[str] = []
    update: dict[str, Any] = {}
    for section in type(old).model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if before == after or section in FLAGS_ONLY:
            continue
        if not is_dataclass(before):
            _note("", section, changed, needs_restart)
            update |= {section: after} if changes_at_run_time("", section) else {}
            continue

        names = [one.name for one in fields(before)]
        differs = [name for name in names if getattr(before, name) != getattr(after, name)]
        if isinstance(before, TlsOptions) and _begins_or_ends(before, after):
            needs_restart += [f"{section}.{name}" for name in differs]
            continue
        for name in differs:
            _note(section, name, changed, needs_restart)
        taken = {name: getattr(after, name) for name in differs if changes_at_run_time(section, name)}
        update[section] = _with(section, before, taken)
    return Changes(_checked(old.model_copy(update=update)), tuple(changed), tuple(needs_restart))


def _begins_or_ends(before: TlsOptions, after: TlsOptions) -> bool:
    """Whether a port begins or ceases to use TLS. Its listener stays as it is until the node is restarted."""
    return any((before.material(port) is None) != (after.material(port) is None) for port in PORTS)


def _checked(running: Config) -> Config:
    """The new users may do for the new addresses, but not for those that the node has until its restart."""
    try:
        return type(running).model_validate(dict(running))
    except ConfigError as error:
        raise ConfigError(f"without a restart {error}") from None


def _note(section: str, name: str, changed: list[str], needs_restart: list[str]) -> None:
    key = f"{section}.{name}" if section else name
    (changed if changes_at_run_time(section, name) else needs_restart).append(key)


def _with(section: str, options: Any, taken: Mapping[str, Any]) -> Any:
    try:
        return replace(options, **taken)
    except InvalidArgument as error:
        raise ConfigError(f"without a restart {section}.{error}") from None
