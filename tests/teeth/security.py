"""Who may come in: certificates, names, users, roles, and what is kept of those who are not known."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

TLS = "tests/server/test_tls.py::"
DOORS = "tests/net/test_doors.py::"
CERTIFICATES = "tests/net/test_certificates.py::"
FILES = "tests/daemon/test_secret_files.py::"

SECURITY = (
    Mutation(
        trap=16,
        name="a node is talked with whatever its certificate is for",
        file="replicad/net/doors.py",
        old="            refusal = refusal_of_node(peer_certificate(transport), address.host, self.allow)\n",
        new="            refusal = None\n",
        caught_by=(f"{DOORS}test_the_one_that_is_connected_to_is_the_right_one",),
    ),
    Mutation(
        trap=16,
        name="a node may come without a certificate",
        file="replicad/net/options.py",
        old='        certificates = "required" if port == "replication" else',
        new='        certificates = "optional" if port == "replication" else',
        caught_by=(f"{DOORS}test_who_has_no_right_to_come_in",),
    ),
    Mutation(
        trap=16,
        name="a node may call itself anything",
        file="replicad/net/certificates.py",
        old="    if certificate is None or name in certificate.names:\n",
        new="    if True:\n",
        caught_by=(f"{CERTIFICATES}test_a_node_is_called_what_its_certificate_says",),
    ),
    Mutation(
        trap=16,
        name="a wildcard stands for many labels",
        file="replicad/net/certificates.py",
        old='        return wanted in known or (bool(dot) and f"*.{domain}" in known)\n',
        new="        return wanted in known or any(wanted.endswith(name.lstrip('*')) for name in known)\n",
        caught_by=(f"{CERTIFICATES}test_hosts",),
    ),
    Mutation(
        trap=16,
        name="a key that others can read is used",
        file="replicad/net/tls.py",
        old="    check_secret(material.key_file)\n",
        new="",
        caught_by=("tests/net/test_contexts.py::test_what_does_not_fit_is_named",),
    ),
    Mutation(
        trap=16,
        name="other machines are reached in clear text",
        file="replicad/net/doors.py",
        old="        if address.is_loopback or self.is_tls or self._insecure:\n",
        new="        if True:\n",
        caught_by=(f"{DOORS}test_what_is_not_of_this_machine_is_not_reached_in_clear_text",),
    ),
    Mutation(
        trap=16,
        name="an address of other machines needs no users",
        file="replicad/daemon/exposure.py",
        old="        if each.wants_users and not has_users:\n",
        new="        if False:\n",
        caught_by=("tests/daemon/test_exposure.py::test_what_others_reach_has_tls_and_users",),
    ),
    Mutation(
        trap=16,
        name="the kernel executes what a user may not",
        file="replicad/kernels/bindings/module_engine.cc",
        old="port.granted = static_cast<Taken>(std::clamp(granted, 0, 2));",
        new="port.granted = static_cast<Taken>(std::clamp(granted, 2, 2));",
        caught_by=(f"{TLS}test_roles",),
    ),
    Mutation(
        trap=16,
        name="a transaction leads into families of others",
        file="replicad/server/commands/transactions.py",
        old="forbidden(command, client, request) if client.is_limited else None",
        new="None",
        caught_by=(f"{TLS}test_families_of_a_user",),
    ),
    Mutation(
        trap=16,
        name="a subcommand needs what its command needs",
        file="replicad/server/commands/table.py",
        old="        needed = SUBCOMMANDS.get((command.name, request[1].upper()), needed)\n",
        new="        pass\n",
        caught_by=(f"{TLS}test_roles",),
    ),
    Mutation(
        trap=28,
        name="who is not known may collect refusals for ever",
        file="replicad/server/client_state.py",
        old="        if self._refused_before_login >= REFUSALS_BEFORE_LOGIN_MAX:\n",
        new="        if False:\n",
        caught_by=(f"{TLS}test_before_auth_nothing_is_done_and_little_is_kept",),
        hangs=True,
    ),
    Mutation(
        trap=28,
        name="who is not known may send long requests",
        file="replicad/server/client_state.py",
        old="self.server.request_limits if is_known else LIMITS_BEFORE_LOGIN",
        new="self.server.request_limits",
        caught_by=(f"{TLS}test_before_auth_nothing_is_done_and_little_is_kept",),
        hangs=True,
    ),
    Mutation(
        trap=28,
        name="handshakes wait in any number",
        file="replicad/net/handshakes.py",
        old="        if len(self._under_way) >= UNDER_WAY_MAX and not",
        new="        if False and not",
        caught_by=(f"{DOORS}test_handshakes_that_do_not_come_to_an_end_are_bounded",),
        hangs=True,
    ),
    Mutation(
        trap=28,
        name="who stalls handshakes keeps others out",
        file="replicad/net/handshakes.py",
        old="        if count <= hosts[host] + 1:\n",
        new="        if True:\n",
        caught_by=(f"{DOORS}test_who_stalls_many_handshakes_keeps_nobody_else_out",),
        hangs=True,
    ),
    Mutation(
        trap=16,
        name="RESET gives back a user that a reload took",
        file="replicad/server/client_state.py",
        old="self.first_user if users.still_has(self.first_user) else users.anonymous",
        new="self.first_user",
        caught_by=(f"{FILES}test_reset_gives_nobody_back_what_a_reload_took",),
    ),
    Mutation(
        trap=16,
        name="a user who is removed stays connected",
        file="replicad/server/server.py",
        old="            if not users.still_has(connection.client.user):\n",
        new="            if False:\n",
        caught_by=(f"{FILES}test_a_user_that_goes_is_sent_away_and_one_that_comes_may_come",),
        hangs=True,
    ),
    Mutation(
        trap=16,
        name="files that do not fit are used as far as they do",
        file="replicad/daemon/secret_files.py",
        old="            return\n        for swap in swaps:\n",
        new="            swaps = []\n            self._seen = seen\n        for swap in swaps:\n",
        caught_by=(f"{FILES}test_files_that_change_are_used_without_being_told",),
    ),
)
