"""The parts of a node, and how they are put together.

    standing, open_store,          what several parts share
    memory, addresses
    data, verification             the data directory, and whether it can be trusted
    peers, link, survey, pauses    the other nodes, and the one that is followed
    promotion, fencing,            how the node becomes something else
    following, failover,
    switchover, takeover,
    ahead, lost_tail
    feeds, sessions, loop_lag,     what replicas, other nodes, operators and clients are answered
    status, served, http, publisher
    reload                         the configuration, read again

Each part gets what it uses when it is made. An earlier part reaches a later one through a callable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from replicad.daemon.config import NodeConfig, PrimaryConfig, ReplicaConfig
from replicad.daemon.data.node_data import NodeData
from replicad.daemon.data.verification import DataVerification
from replicad.daemon.failover.agent import FailoverAgent
from replicad.daemon.failover.document import failover_document
from replicad.daemon.failover.gateway import make_gateway
from replicad.daemon.feed_factory import FeedFactory
from replicad.daemon.links import NodeLinks
from replicad.daemon.metrics.timings import NodeTimings
from replicad.daemon.open_store import OpenStore
from replicad.daemon.own_addresses import OwnAddresses
from replicad.daemon.own_standing import OwnStanding
from replicad.daemon.ports.client_port import ClientPort
from replicad.daemon.ports.http_port import HttpPort
from replicad.daemon.process import logs
from replicad.daemon.process.loop_lag import LoopLag
from replicad.daemon.process.notify import notify
from replicad.daemon.process.supervise import StopRequest
from replicad.daemon.records import NodeRecords
from replicad.daemon.reload import ConfigSource, Reload
from replicad.daemon.replication_sessions import ReplicationSessions
from replicad.daemon.roles.change_lock import ChangeLock
from replicad.daemon.roles.fencing import Fencing
from replicad.daemon.roles.following import Following
from replicad.daemon.roles.leadership import Leadership
from replicad.daemon.roles.lost_tail import LostTail
from replicad.daemon.roles.node_link import NodeLink
from replicad.daemon.roles.pause_detector import PauseDetector
from replicad.daemon.roles.peer_survey import PeerSurvey
from replicad.daemon.roles.peers import Peers
from replicad.daemon.roles.promotion import Promotion
from replicad.daemon.roles.role_memory import RoleMemory
from replicad.daemon.roles.sent_ahead import SentAheadRecord
from replicad.daemon.roles.switchover import Switchover
from replicad.daemon.roles.takeover import Takeover
from replicad.daemon.secret_files import SecretFiles
from replicad.daemon.security_document import security_document
from replicad.daemon.server_node import ServedNode
from replicad.daemon.state_publisher import StatePublisher
from replicad.daemon.status import NodeStatus
from replicad.daemon.tasks import NodeTasks
from replicad.env import Clock, Env
from replicad.env.events import get_logger
from replicad.etcd.calls import Etcd
from replicad.etcd.options import EtcdOptions
from replicad.net.doors import Doors
from replicad.replication.traffic import Traffic
from replicad.replication.wire.identify import Identity
from replicad.server.access.login import Login
from replicad.server.access.users import Users
from replicad.store.database import Database

log = get_logger("replicad.daemon")


class NodeParts:
    """Belongs to the event loop."""

    def __init__(
        self,
        config: PrimaryConfig | ReplicaConfig,
        env: Env,
        records: NodeRecords,
        stop: StopRequest,
        source: ConfigSource | None = None,
        make_etcd: Callable[[EtcdOptions, Clock], Etcd] = make_gateway,
    ) -> None:
        self.config = config
        self.reload = Reload(config, source)
        self.env = env
        self.records = records
        self.identity = Identity(records.state.node_id, env.random.bytes(16), config.name)
        self.tasks = NodeTasks()
        self.doors = Doors(config.tls, insecure=config.insecure)
        self.is_ready = False
        """Whether the service manager knows that the node serves its data."""
        self.traffic = Traffic()

        # What several parts share; each has one owner, named in its module.
        self.standing = OwnStanding()
        self.open_store = OpenStore()
        self.memory = RoleMemory(config, records)
        self.login = Login(Users(config.users), by_certificate=config.tls.certificate_users)
        self.clients = ClientPort(
            config.listen,
            lambda: self.served,
            config.clients,
            env.clock,
            lambda: stop.request("SHUTDOWN"),
            self.doors.clients,
            self.login,
            None if config.listen_unix is None else (config.listen_unix, int(config.listen_unix_mode, 8)),
        )
        self.addresses = OwnAddresses(self.clients, config.announce)

        self.ahead = SentAheadRecord(
            config.store.durability,
            env.boot_id or self.identity.process.hex(),
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
        )

        # The data.
        self.data = NodeData(
            config,
            env,
            records,
            self.clients,
            self.open_store,
            lambda connection: self.sessions.serve(connection),
            lambda store, slots: self.feeds.make(store, slots),
            lambda: self.pauses.begin(),
            self._opened,
            self.tasks.fail,
            self.doors.replication,
        )
        self.verification = DataVerification(
            env,
            records,
            config.verification,
            config.data,
            standing=self.standing,
            store=self.open_store,
            holds_writes=lambda: self.served.holds_writes(),
            held_because=lambda: self.data.delay.held_because,
        )

        # The other nodes.
        self.peers = Peers(
            env,
            records,
            self.identity.node,
            lambda: self.survey.introduce(),
            door=self.doors.replication,
            kept_seconds=config.link.slot_idle_seconds_max,
            changed=self.open_store.tell_nodes,
        )
        self.link = NodeLink(
            config,
            env,
            self.identity,
            records,
            store=self.open_store,
            data=self.data,
            verification=self.verification,
            memory=self.memory,
            peers=self.peers,
            addresses=self.addresses,
            tasks=self.tasks,
            door=self.doors.replication,
            changed=lambda: self.publisher.nudge(),
            learn_nodes=lambda: self.survey.ask_transitively(),
            traffic=self.traffic,
        )
        self.survey = PeerSurvey(
            self.identity,
            config.roles,
            durability=config.store.durability,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            peers=self.peers,
            link=self.link,
            addresses=self.addresses,
            fence=lambda epoch, where: self.fencing.fence(epoch, where),
            turn_to=lambda address, clients: self.following.turn_to(address, clients),
        )
        options = config.failover
        leadership = None
        if options.is_on:
            leadership = Leadership(
                env.clock, ttl_seconds=options.ttl_seconds, margin_seconds=options.margin_seconds
            )
        self.pauses = PauseDetector(
            env.clock,
            config.roles,
            standing=self.standing,
            peers=self.peers,
            survey=self.survey,
            tasks=self.tasks,
            go_on=lambda: self.lost_tail.go_on(),
            leadership=leadership,
        )

        # The changes of role.
        self.lock = ChangeLock(self.tasks)
        self.data.delay.changes_role = lambda: self.lock.is_taken
        self.fencing = Fencing(
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            link=self.link,
            lock=self.lock,
            tasks=self.tasks,
            find_primary=self.survey.ask_soon,
        )
        self.following = Following(
            self.identity,
            config.roles,
            standing=self.standing,
            store=self.open_store,
            data=self.data,
            memory=self.memory,
            peers=self.peers,
            link=self.link,
            survey=self.survey,
            lock=self.lock,
            tasks=self.tasks,
            doors=self.doors,
        )
        self.promotion = Promotion(
            env,
            self.identity,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            peers=self.peers,
            link=self.link,
            survey=self.survey,
            lock=self.lock,
            data=self.data,
        )
        self.failover = None
        if leadership is not None:
            self.failover = FailoverAgent(
                self.identity,
                env.clock,
                options,
                config.roles,
                make_etcd(options.etcd_options(), env.clock),
                durability=config.store.durability,
                records=records,
                leadership=leadership,
                standing=self.standing,
                store=self.open_store,
                data=self.data,
                memory=self.memory,
                peers=self.peers,
                link=self.link,
                addresses=self.addresses,
                fencing=self.fencing,
                following=self.following,
                promotion=self.promotion,
                lock=self.lock,
                tasks=self.tasks,
                door=self.doors.replication,
                publish=self.clients.publish,
            )
        self.switchover = Switchover(
            self.identity,
            env.clock,
            config.roles,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            survey=self.survey,
            following=self.following,
            lock=self.lock,
            tasks=self.tasks,
            door=self.doors.replication,
            free_leadership=None if self.failover is None else self.failover.handing_over.hand_over,
        )
        self.takeover = Takeover(
            config.roles,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            peers=self.peers,
            link=self.link,
            promotion=self.promotion,
            lock=self.lock,
            refusal=lambda: self.data.delay.no_takeover,
            holds_still=lambda: None if self.failover is None else self.failover.promises.holds_still,
            expect_to_lead=None if self.failover is None else self.failover.hurry,
        )

        self.lost_tail = LostTail(
            env,
            self.identity,
            config.link,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            link=self.link,
            survey=self.survey,
            lock=self.lock,
            door=self.doors.replication,
        )

        # What others are answered.
        self.feeds = FeedFactory(
            env,
            self.identity,
            records,
            config.data,
            config.link,
            standing=self.standing,
            verification=self.verification,
            peers=self.peers,
            link=self.link,
            survey=self.survey,
            pauses=self.pauses,
            fencing=self.fencing,
            ahead=self.ahead,
            traffic=self.traffic,
        )
        self.sessions = ReplicationSessions(
            config.link.handshake_seconds,
            store=self.open_store,
            survey=self.survey,
            takeover=self.takeover,
            lost_tail=self.lost_tail,
            door=self.doors.replication,
            traffic=self.traffic,
            serve_link=lambda connection, hello: self.links.serve(connection, hello),
            promises=None if self.failover is None else self.failover.promises,
        )
        self.loop_lag = LoopLag(env.clock)
        self.status = NodeStatus(
            env,
            self.identity,
            standing=self.standing,
            store=self.open_store,
            data=self.data,
            memory=self.memory,
            peers=self.peers,
            link=self.link,
            survey=self.survey,
            verification=self.verification,
            addresses=self.addresses,
            loop_lag=self.loop_lag,
            clients=self.clients,
            traffic=self.traffic,
            security=lambda: security_document(
                self.doors, self.login, self.secret_files.refused, insecure=config.insecure
            ),
            refused_http=lambda: self.http.refused,
            links=lambda: self.links.document(),
            failover=lambda: None if self.failover is None else failover_document(self.failover),
        )
        self.served = ServedNode(
            config.link,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            peers=self.peers,
            link=self.link,
            pauses=self.pauses,
            promotion=self.promotion,
            following=self.following,
            switchover=self.switchover,
            verification=self.verification,
            backups=self.data.backups,
            delay=self.data.delay,
            status=self.status,
            reload=self.reload,
            traffic=self.traffic,
            links=lambda: self.links.document(),
            failover=self.failover,
        )
        self.links = NodeLinks(
            env,
            self.identity,
            config.link,
            store=self.open_store,
            data=self.data,
            clients=self.clients,
            tasks=self.tasks,
            door=self.doors.replication,
            is_primary=lambda: self.served.is_writable,
            configured=config.links,
        )
        self.timings = NodeTimings(clients=self.clients, store=self.open_store, loop_lag=self.loop_lag)
        names = () if config.announce is None else (config.announce,)
        self.http = HttpPort(self.status.document, self.load_registry, self.doors.http, self.login, names)
        self.publisher = StatePublisher(
            env.clock,
            records,
            standing=self.standing,
            store=self.open_store,
            memory=self.memory,
            link=self.link,
        )
        # Clients before the record: nobody may be answered as by the former standing once it has moved.
        self.standing.subscribe(self.clients.role_changed)
        self.standing.subscribe(self.publisher.nudge)
        self._register_for_reload()
        self.secret_files = SecretFiles(
            lambda: self.reload.config,
            self._prepare_certificates,
            self._prepare_users,
        )

    def _register_for_reload(self) -> None:
        """What takes over keys that change at run time: see `config/run_time.py`."""
        register = self.reload.register
        register(self._prepare_certificates)
        register(self._prepare_users)
        register(lambda config: lambda: logs.reconfigure(config.log))
        register(lambda config: lambda: self.clients.reconfigure(config.clients))
        register(lambda config: lambda: self.verification.reconfigure(config.verification))
        register(lambda config: lambda: self.data.reconfigure(config))
        register(lambda config: lambda: self._forget_nodes_after(config.link.slot_idle_seconds_max))
        register(lambda config: lambda: self.feeds.reconfigure(config.link))
        register(lambda config: lambda: self.served.reconfigure(config.link))
        register(lambda config: lambda: self.link.reconfigure(config))
        register(lambda config: lambda: self.links.reconfigure(config.links))

    def _forget_nodes_after(self, kept_seconds: float) -> None:
        self.peers.kept_seconds = kept_seconds

    def _prepare_certificates(self, config: NodeConfig) -> Callable[[], None]:
        return self.doors.prepare(config.tls)

    def _prepare_users(self, config: NodeConfig) -> Callable[[], None]:
        users = Users(config.users)

        def swap() -> None:
            login = self.login
            changed = login.by_certificate != config.tls.certificate_users
            login.by_certificate = config.tls.certificate_users
            # The same ones stay: they remember which passwords were right.
            if users.by_name != login.users.by_name:
                login.users = users
                changed = True
            if changed:
                self.clients.users_changed()

        return swap

    def load_registry(self) -> Any:
        """The metrics; a node without HTTP never loads what they are made with."""
        from replicad.daemon.metrics.registry import registry_of

        return registry_of(self.status.document, self.timings)

    @property
    def store(self) -> Database | None:
        """The database that is open."""
        return self.open_store.database

    def _opened(self, store: Database) -> None:
        """The store is served from now on."""
        self.verification.opened(store)
        self.publisher.nudge()
        log.info("daemon.ready", standing=self.standing.current.value, clients=self.addresses.clients)
        self.is_ready = True
        notify("READY=1", f"STATUS={self.standing.role} at {store.durable_position}")
