"""The rule that is stated in etcd, and the rule that the leader counts by, while either changes.

At every moment every acknowledged write has to be durable on `count` of the `replicas` that are stated. So:

    weaker first    fewer, or more replicas to choose from     stated, then counted
    stronger last   more, or fewer to choose from              counted, then stated: once all that was
                                                               acknowledged before is on as many

Both at once go through the weaker of the two. A new leader states nothing before as many replicas hold its
whole history as the rule asks for: until then what its predecessor stated is true, for nothing was
acknowledged since. (A replica that holds a batch holds all before it.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from replicad.replication.policy.failover.cluster import Member, StatedRule


@dataclass(frozen=True, slots=True)
class Step:
    """`count` of `replicas` is what an acknowledgement needs now. `state` is what to write into etcd, at once
    or (`when_held`) as soon as that many of those hold all that was written until now."""

    count: int
    replicas: frozenset[str]
    state: StatedRule | None = None
    when_held: bool = False


def is_of(stated: StatedRule | None, wanted: StatedRule) -> bool:
    """Whether the rule in etcd is of this leadership."""
    return stated is not None and (stated.leader, stated.epoch) == (wanted.leader, wanted.epoch)


def covers(stated: StatedRule | None, wanted: StatedRule) -> bool:
    """Whether what is acknowledged as `next_step` counts is as durable as etcd says."""
    if stated is None or not is_of(stated, wanted):
        return False
    return wanted.leader_has_all or not stated.leader_has_all


def is_newest(said: StatedRule, members: Mapping[str, Member]) -> bool:
    """Whether no later leader can have stated a rule that etcd lost. A successor is one of the replicas that
    count, and had the promises of n - k + 1 of them. What `members` say was written after the loss. The
    cases, in the order they are tried:

    the n replicas of the rule                              the newest
    ------------------------------------------------------  ----------
    k of them have promised nothing later                   yes
    all are there, and none is in a later epoch             yes
    anything else                                           unknown: no
    """
    there = [members[node] for node in said.replicas if node in members]
    if sum(member.promised <= said.epoch for member in there) >= said.count:
        return True
    are_before = all(member.epoch is not None and member.epoch <= said.epoch for member in there)
    return are_before and len(there) == len(said.replicas)


def next_step(stated: StatedRule | None, wanted: StatedRule) -> Step:
    """`wanted` is what this leader would state if nothing had been acknowledged yet. The cases, in the order
    they are tried:

    stated                              counted                     to be stated
    ----------------------------------  --------------------------  ----------------------------------------
    by another leader, or none          what is wanted              that, once as many hold all (at once if
                                                                    it waits for nobody)
    is not as weak as what is wanted    the stronger of the two     the weaker of the two, at once
    is weaker than what is wanted       what is wanted              that, once as many hold all
    is what is wanted                   that                        nothing
    """
    if stated is None or not is_of(stated, wanted):
        return Step(wanted.count, wanted.replicas, wanted, when_held=wanted.count > 0)

    # Fewer to wait for, or more to choose from, and no longer all at the leader: a candidate has to ask more.
    weaker = replace(
        wanted,
        count=min(stated.count, wanted.count),
        replicas=stated.replicas | wanted.replicas,
        leader_has_all=stated.leader_has_all and wanted.leader_has_all,
    )
    if _what_counts(weaker) != _what_counts(stated):
        return Step(max(stated.count, wanted.count), stated.replicas & wanted.replicas, weaker)
    if _what_counts(wanted) != _what_counts(stated):
        return Step(wanted.count, wanted.replicas, wanted, when_held=True)
    return Step(wanted.count, wanted.replicas, wanted if wanted.text != stated.text else None)


def _what_counts(rule: StatedRule) -> tuple[int, frozenset[str], bool]:
    return rule.count, rule.replicas, rule.leader_has_all
