"""What clients that follow a failover rely on: who is primary, and messages that stay apart from replies."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

CHANNELS = "tests/server/test_channels.py::"

FOLLOWING = (
    # 10: an older primary is not taken for the primary
    Mutation(
        trap=10,
        name="clients are sent to a primary that is down",
        file="replicad/server/commands/sentinel.py",
        old='"s_down,o_down,master,disconnected" if primary.is_down else "master"',
        new='"master"',
        caught_by=("tests/server/test_sentinel.py::test_what_is_down_says_so",),
    ),
    # 16: nothing is believed that a client says
    Mutation(
        trap=16,
        name="who becomes another user hears on",
        file="replicad/server/client_state.py",
        old="        if Role.MONITOR not in rights:\n",
        new="        if False:\n",
        caught_by=(f"{CHANNELS}test_who_may_subscribe",),
    ),
    # 24: the same bytes in other pieces mean the same commands
    Mutation(
        trap=24,
        name="the kernel executes what a subscriber may not send",
        file="replicad/server/client_state.py",
        old="        if self.only_hears:\n",
        new="        if False:\n",
        caught_by=(f"{CHANNELS}test_in_resp2_a_subscriber_sends_little_else",),
    ),
    Mutation(
        trap=24,
        name="a message fails with the write before it",
        file="replicad/server/connection.py",
        old="        if client.messages and not client.held:\n",
        new="        if client.messages:\n",
        caught_by=(f"{CHANNELS}test_a_message_waits_behind_held_replies",),
    ),
    Mutation(
        trap=24,
        name="a message comes after the end of its subscription",
        file="replicad/server/commands/pubsub.py",
        old="        client.messages.clear()\n",
        new="        pass\n",
        caught_by=(f"{CHANNELS}test_who_has_unsubscribed_hears_nothing_more",),
    ),
    # 28: what others can make grow
    Mutation(
        trap=28,
        name="a client subscribes to any number of channels",
        file="replicad/server/channels.py",
        old="        return is_short and self.count(client) + len(added) <= SUBSCRIPTIONS_MAX\n",
        new="        return is_short\n",
        caught_by=(f"{CHANNELS}test_one_client_has_a_limit",),
    ),
    Mutation(
        trap=28,
        name="subscriptions of clients that have gone stay",
        file="replicad/server/server.py",
        old="        self.state.channels.forget(connection.client)\n",
        new="",
        caught_by=(f"{CHANNELS}test_reset_and_the_end_forget",),
    ),
    Mutation(
        trap=28,
        name="messages that wait take memory that nobody counts",
        file="replicad/server/connection.py",
        old="            waiting += self._server.channels.size_bytes(client)\n",
        new="            pass\n",
        caught_by=(f"{CHANNELS}test_what_waits_for_a_client_counts",),
    ),
)
