"""The lines that say what commands take, and what COMMAND DOCS makes of them."""

from __future__ import annotations

import pytest
import redis

from replicad.server.commands import COMMANDS
from replicad.server.commands.table import Command
from replicad.server.commands.usage import Argument, parse_usage
from tests.server.harness import RunningServer

KEY = Argument("key", "key")
KEY_AND_VALUE = Argument("key-value", "block", parts=(KEY, Argument("value", "string")))
NX, XX = Argument("nx", "pure-token", "NX"), Argument("xx", "pure-token", "XX")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ("", ()),
        ("key ...", (Argument("key", "key", multiple=True),)),
        ("[section ...]", (Argument("section", "string", optional=True, multiple=True),)),
        (
            "<key value> ...",
            (Argument("key-value", "block", None, False, True, (KEY, Argument("value", "string"))),),
        ),
        ("key [NX|XX]", (KEY, Argument("nx-or-xx", "oneof", None, True, False, (NX, XX)))),
        (
            "[COUNT count] [NX]",
            (Argument("count", "integer", "COUNT", True), Argument("nx", "pure-token", "NX", True)),
        ),
        ("<name> <NX|XX>", (Argument("name", "string"), Argument("nx-or-xx", "oneof", parts=(NX, XX)))),
        ("TYPE <NX|XX>", (Argument("nx-or-xx", "oneof", "TYPE", parts=(NX, XX)),)),
    ],
)
def test_a_usage_is_read(usage: str, expected: tuple[Argument, ...]) -> None:
    assert parse_usage(usage) == expected


@pytest.mark.parametrize("usage", ["key]", "key | value"])
def test_a_usage_that_goes_on_after_its_end_is_no_usage(usage: str) -> None:
    with pytest.raises(ValueError, match="goes on after its end"):
        parse_usage(usage)


WITHOUT_SUBCOMMANDS = [command for command in COMMANDS.values() if command.container is None]


def words(argument: Argument) -> tuple[int, bool]:
    """(the least number of words that it takes, whether there may be more)."""
    if argument.optional:
        return 0, True
    inner = [words(part) for part in argument.parts]
    least, open_ended = 1, False
    if argument.kind == "block":
        least, open_ended = sum(count for count, _ in inner), any(more for _, more in inner)
    elif argument.kind == "oneof":
        least = min(count for count, _ in inner)
        open_ended = any(more or count != least for count, more in inner)
    return least + (
        argument.token is not None and argument.kind != "pure-token"
    ), open_ended or argument.multiple


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS.values() if each.container is None], ids=lambda each: each.name
)
def test_a_usage_says_what_the_arity_does(command: Command) -> None:
    """The least number of arguments, and whether more are taken."""
    if command.name == "quit":
        return  # whatever is after it, as Redis does
    found = [words(argument) for argument in parse_usage(command.usage)]
    assert abs(command.arity) - 1 == sum(least for least, _ in found)
    assert (command.arity < 0) == any(more for _, more in found)


def test_a_library_reads_the_documentation(server: RunningServer) -> None:
    """Arguments, and those of subcommands."""
    with redis.Redis(port=server.port, protocol=3, decode_responses=True) as client:
        documented = client.execute_command("COMMAND DOCS", "set", "config")
    names = [argument["name"] for argument in documented["set"]["arguments"]]
    assert names == ["key", "value", "nx-or-xx", "get", "keepttl"]
    subcommands = documented["config"]["subcommands"]
    assert list(subcommands) == ["config|get", "config|set", "config|rewrite", "config|resetstat"]
    assert subcommands["config|get"]["arguments"][0]["flags"] == ["multiple"]
