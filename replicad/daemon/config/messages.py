"""What is said of a key that there is not, and what was probably meant."""

from __future__ import annotations

from difflib import get_close_matches

from replicad.daemon.config.keys import NAME, Key, KeyPath, find, is_table, keys_of
from replicad.daemon.config.model import FLAGS_ONLY, ReplicaConfig
from replicad.daemon.config.origins import FromEnvironment, FromFlag, Setting
from replicad.daemon.config.values import write_name
from replicad.daemon.config.variables import variable_of


def refusal_of_path(setting: Setting, keys: tuple[Key, ...]) -> str | None:
    """Why there is no such key, in words; None where there is."""
    path = setting.path
    if find(keys, path) is not None:
        return None
    if isinstance(setting.origin, FromFlag) and path[0] in FLAGS_ONLY:
        return None
    if is_table(keys, path):
        return None if setting.value == {} else f"{dotted(path)} is a table"

    # The shortest part of the path that is wrong: of an unknown table its keys are not complained about.
    wrong = next(path[:n] for n in range(1, len(path) + 1) if not is_table(keys, path[:n]))
    if find(keys, wrong) is not None:
        return f"{dotted(wrong)} is not a table"
    if isinstance(setting.origin, FromEnvironment):
        return _unknown_variable(setting.origin.variable, keys)
    return _unknown(wrong, keys)


def dotted(path: KeyPath) -> str:
    return ".".join(write_name(name) for name in path)


def _unknown_variable(variable: str, keys: tuple[Key, ...]) -> str:
    alike = get_close_matches(variable, [variable_of(key.path) for key in keys if not key.is_named], 1)
    return "there is no such key" + (f": did you mean {alike[0]}?" if alike else "")


def _unknown(path: KeyPath, keys: tuple[Key, ...]) -> str:
    text = f"{dotted(path)} is not a key"
    if find(keys_of(ReplicaConfig), path) is not None:
        return f"{text} of a primary"
    homes = [key.path[:-1] for key in keys if key.path[-1] == path[-1] and not key.is_named]
    if homes:
        where = f"in [{dotted(homes[0])}]" if homes[0] else "before the first section"
        return f"{text}: it belongs {where}"
    alike = get_close_matches(path[-1], _names_beside(path, keys), 1)
    return f"{text}: did you mean {alike[0]}?" if alike else text


def _names_beside(path: KeyPath, keys: tuple[Key, ...]) -> list[str]:
    """Of the keys and tables in the same table."""
    above = path[:-1]
    names = [
        key.path[len(above)]
        for key in keys
        if len(key.path) > len(above)
        and all(mine in (NAME, given) for mine, given in zip(key.path, above, strict=False))
    ]
    return [name for name in dict.fromkeys(names) if name != NAME]
