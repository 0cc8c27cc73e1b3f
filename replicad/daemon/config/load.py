"""From the layers to a configuration, or to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from replicad.daemon.config.keys import Key, KeyPath, find, keys_of, table_of
from replicad.daemon.config.messages import dotted, refusal_of_path
from replicad.daemon.config.model import NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.config.origins import Setting, nest
from replicad.daemon.config.sources import Sources
from replicad.daemon.config.values import what_is_wrong, write_name, write_value
from replicad.errors import ConfigError

Config = TypeVar("Config", bound=NodeConfig)

SHOWN_MAX = 5
"""Of the things that are wrong, in one line."""
VALUE_CHARACTERS_MAX = 80


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[Config]):
    """A configuration, and who set each value that is not a default."""

    config: Config
    settings: Mapping[KeyPath, Setting]


def load_primary(file: Path | None = None, **flags: Any) -> PrimaryConfig:
    """The file's keys, and those of `conf.d` beside it, with `flags` (None: not given) over them; a flag
    `a__b` is key `b` of table `a`. Raises ConfigError naming the key."""
    return load(PrimaryConfig, Sources(file=file, flags=flags)).config


def load_replica(file: Path | None = None, **flags: Any) -> ReplicaConfig:
    """As `load_primary`."""
    return load(ReplicaConfig, Sources(file=file, flags=flags)).config


def load(kind: type[Config], sources: Sources) -> Loaded[Config]:
    """Raises ConfigError, which says all that is wrong in one line."""
    loaded, wrong = try_to_load(kind, sources)
    if loaded is None:
        more = len(wrong) - SHOWN_MAX
        shown = [
            *wrong[:SHOWN_MAX],
            *([f"and {more} more: replicad config check shows all"] if more > 0 else []),
        ]
        raise ConfigError("; ".join(shown))
    return loaded


def try_to_load(kind: type[Config], sources: Sources) -> tuple[Loaded[Config] | None, list[str]]:
    """The configuration; or None, and each thing that is wrong, with the place where it is."""
    keys = keys_of(kind)
    try:
        read = sources.read(kind)
    except ConfigError as error:
        return None, [str(error)]

    # Keys that there are not are wrong in every layer, values only where they win.
    wrong = []
    settings: dict[KeyPath, Setting] = {}
    for setting in read:
        if reason := refusal_of_path(setting, keys):
            wrong.append(f"{setting.origin}: {reason}")
        else:
            settings[setting.path] = setting
    wrong += [text for setting in settings.values() if (text := _wrong_value(setting, keys))]
    wrong += [
        f"{sources}: {key.dotted} is missing"
        for key in keys
        if key.default is MISSING and key.path not in settings and not key.is_named
    ]
    if wrong:
        return None, list(dict.fromkeys(wrong))

    # What is wrong with several values together.
    try:
        return Loaded(config=_build(kind, nest(settings)), settings=settings), []
    except ConfigError as error:
        return None, [f"{_place(str(error), settings) or sources}: {error}"]


def _wrong_value(setting: Setting, keys: tuple[Key, ...]) -> str | None:
    key = find(keys, setting.path)
    reason = None if key is None else what_is_wrong(key, setting.value)
    if reason is None:
        return None
    return f"{setting.origin}: {dotted(setting.path)} = {_shown(setting.value)}: {reason}"


def _shown(value: Any) -> str:
    try:
        text = write_value(value)
    except RecursionError:
        text = str(type(value).__name__)
    return text if len(text) <= VALUE_CHARACTERS_MAX else f"{text[:VALUE_CHARACTERS_MAX]}…"


def _build(kind: type[Config], values: dict[str, Any]) -> Config:
    """Each section is made by itself first, so that an error names the section. Raises ConfigError."""
    for section, value in values.items():
        table, is_named = table_of(kind.model_fields[section].annotation)
        if table is not None and isinstance(value, dict):
            values[section] = (
                {name: _made(table, f"{section}.{write_name(name)}", one) for name, one in value.items()}
                if is_named
                else _made(table, section, value)
            )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_first(error)) from None


def _made(table: type[Any], where: str, values: Any) -> Any:
    try:
        return TypeAdapter(table).validate_python(values)
    except ValidationError as error:
        raise ConfigError(f"{where}.{_first(error)}") from None
    except ConfigError as error:
        # Of itself a class of options does not know in which table it stands.
        text = str(error)
        raise ConfigError(text if text.startswith(f"{where}.") else f"{where}: {text}") from None


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(map(str, problem["loc"]))
    match problem["type"]:
        case "missing":
            return f"{key} is missing"
        case "value_error":  # It names the option.
            return (f"{key}." if key else "") + str(problem["ctx"]["error"])
        case "address":
            return f"{key}: {problem['msg']}"
    text = problem["msg"].replace("Input should", "should", 1).replace("String should", "should", 1)
    return f"{key} {text}, not {problem['input']!r}"


def _place(text: str, settings: Mapping[KeyPath, Setting]) -> str | None:
    """Where the value is that a message begins with, if somebody set it."""
    word = text.split(maxsplit=1)[0].rstrip(":")
    return next((str(each.origin) for path, each in settings.items() if ".".join(path) == word), None)
