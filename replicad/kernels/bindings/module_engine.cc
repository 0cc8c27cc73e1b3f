// Binds what executes the simple commands of clients.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "bindings/module.h"
#include "bindings/module_attribute.h"
#include "bindings/module_bytes.h"
#include "bindings/module_callable.h"
#include "bindings/module_requests.h"
#include "resp/client_port.h"
#include "resp/client_sockets.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

// The store, by attributes of its Python objects: `core.version.view`, and the numbers of its `progress`.
//
// The version is taken first and the numbers second: a version made later may have dropped what an older number sees.
// None of it is kept between two runs, for a version holds memory and files.
class PyReadSource : public ReadSource {
 public:
  PyReadSource(nb::object core, nb::object progress, nb::object family_view)
      : core_(std::move(core)), progress_(std::move(progress)), family_view_(std::move(family_view)) {}

  ReadPoint Now() override {
    const nb::object version = version_.Of(core_);
    ReadPoint point;
    point.view = nb::cast<std::shared_ptr<ReadView>>(view_.Of(version));
    point.visible = nb::cast<uint64_t>(visible_.Of(progress_));
    point.appended = nb::cast<uint64_t>(appended_.Of(progress_));
    if (closed_.IsTrueOf(progress_)) point.view = nullptr;
    return point;
  }

  std::shared_ptr<const ReadView> Family(uint32_t family, uint64_t sequence) override {
    const nb::object view = family_view_(family, sequence);
    return view.is_none() ? nullptr : nb::cast<std::shared_ptr<ReadView>>(view);
  }

  int Traverse(visitproc visit, void* arg) const {
    Py_VISIT(core_.ptr());
    Py_VISIT(progress_.ptr());
    Py_VISIT(family_view_.ptr());
    return 0;
  }

 private:
  nb::object core_, progress_, family_view_;
  const Name version_{"version"}, view_{"view"}, visible_{"visible"}, appended_{"appended"}, closed_{"closed"};
};

// A server is in cycles with what is of it here, and in module_replies.cc. Without these the collector would not see
// that they are cycles, and each server that was closed would stay, with its database.

int TraverseSource(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<PyReadSource>(self)->Traverse(visit, arg) : 0;
}

int TraverseEngine(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  const Engine& engine = *nb::inst_ptr<Engine>(self);
  Py_VISIT(nb::find(static_cast<PyReadSource*>(&engine.executor.source())).ptr());
  Py_VISIT(nb::find(&engine.executor.group()).ptr());
  Py_VISIT(nb::find(&engine.executor.counts()).ptr());
  Py_VISIT(engine.now.target<PyClock>()->function.ptr());
  return 0;
}

int TraverseSockets(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  const ClientSockets& sockets = *nb::inst_ptr<ClientSockets>(self);
  Py_VISIT(nb::find(&sockets.engine()).ptr());
  Py_VISIT(nb::find(&sockets.counts()).ptr());
  return 0;
}

int TraversePort(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  ClientPort& port = *nb::inst_ptr<ClientPort>(self);
  Py_VISIT(nb::find(&port.engine()).ptr());
  Py_VISIT(nb::find(&port.view().replies).ptr());
  return 0;
}

int TraverseSocket(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  const ClientSocket& socket = *nb::inst_ptr<ClientSocket>(self);
  Py_VISIT(nb::find(&socket.sockets()).ptr());
  Py_VISIT(nb::find(&socket.port()).ptr());
  return 0;
}

PyType_Slot source_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseSource)}, {0, nullptr}};
PyType_Slot engine_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseEngine)}, {0, nullptr}};
PyType_Slot port_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraversePort)}, {0, nullptr}};
PyType_Slot socket_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseSocket)}, {0, nullptr}};
PyType_Slot sockets_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseSockets)}, {0, nullptr}};

// Requests go to Python as lists of bytes, inline lines as bytes.
struct Handed {
  nb::object requests = nb::steal(nullptr);  // null while there are none

  bool has_any() const { return requests.is_valid(); }
  void Take(const Request& request) { Add(ToList(request)); }
  void TakeLine(std::string_view line) { Add(ToBytes(line)); }
  void TakeGet(std::string_view key) { TakeWords({"GET", key}); }
  void TakeMulti() { TakeWords({"MULTI"}); }
  // What a command raised is for Python, which does it again and explains it to the client. Only what is not meant for
  // clients comes out: an interrupt, and that there is no memory.
  static void Failed() {
    try {
      throw;
    } catch (nb::python_error& error) {
      if (!error.matches(PyExc_Exception)) throw;
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception&) {
    }
  }

 private:
  void TakeWords(std::initializer_list<std::string_view> words) {
    nb::list request;
    for (const std::string_view word : words) request.append(ToBytes(word));
    Add(request);
  }
  void Add(const nb::object& request) {
    if (!requests.is_valid()) requests = nb::list();
    if (PyList_Append(requests.ptr(), request.ptr()) != 0) throw nb::python_error();
  }
};

nb::object Feed(ClientPort& port, const BytesLike& data, int taken) {
  const InFlight in_flight;
  Handed handed;
  port.Feed(data.view(), static_cast<Taken>(taken), handed);
  return handed.has_any() ? handed.requests : nb::none();
}

nb::list Receive(ClientSockets& sockets, int taken, double seconds, uint64_t input_bytes_max) {
  const InFlight in_flight;
  nb::list told;
  const auto tell = [&](ClientSocket& socket, const Handed& handed) {
    told.append(nb::make_tuple(nb::find(socket), handed.has_any() ? handed.requests : nb::none()));
  };
  sockets.Receive<Handed>(static_cast<Taken>(taken), seconds, input_bytes_max, tell);
  return told;
}

void BindSockets(nb::module_& m) {
  nb::class_<ClientSockets>(m, "ClientSockets", nb::type_slots(sockets_slots),
                            "Reads, executes and answers for all clear-text clients of a server.")
      .def(nb::init<Engine&, CommandCounts&, size_t>(), "engine"_a, "counts"_a, "unsent_bytes_max"_a,
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def("fileno", &ClientSockets::fd, "Readable while `receive` has something to do.")
      .def("receive", &Receive, "taken"_a, "seconds"_a, "input_bytes_max"_a,
           nb::sig("def receive(self, taken: int, seconds: float, input_bytes_max: int) -> "
                   "list[tuple[ClientSocket, list[list[bytes] | bytes] | None]]"),
           "Receives once from each socket that is ready, and executes what came: for about that long, and until more "
           "bytes than these were counted of all input. The sockets for which Python has something to do, with the "
           "requests that it has to execute.")
      .def_prop_ro("unsent_bytes", &ClientSockets::unsent_bytes, "What all clients together have not taken yet.")
      .def_prop_ro("served", &ClientSockets::served, "How many sockets the last `receive` served.")
      .def("send", &ClientSockets::Send, nb::rv_policy::reference, nb::sig("def send(self) -> list[ClientSocket]"),
           "Sends what became ready since the last call; the sockets of which much had to stay, or does no more, or "
           "that somebody waits for until all is sent.");
  nb::class_<ClientSocket>(m, "ClientSocket", nb::type_slots(socket_slots),
                           "One client's socket, which does not block; closed at its end.")
      .def(nb::init<ClientSockets&, int, ClientPort&>(), "sockets"_a, "fd"_a, "port"_a, nb::keep_alive<1, 2>(),
           nb::keep_alive<1, 4>(), "Takes over the descriptor, and reads nothing until it is told to.")
      .def("read", &ClientSocket::Read, "wanted"_a)
      .def("send", &ClientSocket::Send, "Sends what is ready, as far as the system takes it; the rest follows.")
      .def("close_now", &ClientSocket::Close)
      .def_rw("drains", &ClientSocket::drains, "Whether Python is told when all was sent.")
      .def_prop_ro("is_open", &ClientSocket::is_open)
      .def_prop_ro("ended", &ClientSocket::ended, "The client sends nothing more.")
      .def_prop_ro("failed", &ClientSocket::failed, "The connection is lost.")
      .def_prop_ro("is_full", &ClientSocket::is_full, "Much waits for the client, and has not been sent yet.");
}

void AddCommand(Engine& engine, const std::string& name, Operator operation, uint32_t least, uint32_t most) {
  engine.commands.Add({name, operation, least, most});
}

nb::dict Calls(const Engine& engine) {
  nb::dict calls;
  engine.commands.ForEach([&](const SimpleCommand& command) { calls[command.name.c_str()] = command.calls; });
  return calls;
}

void BindOperators(nb::module_& m) {
  nb::enum_<Operator>(m, "Operator", "What the kernels do for a simple command.")
      .value("PING", Operator::kPing)
      .value("ECHO", Operator::kEcho)
      .value("GET", Operator::kGet)
      .value("MULTI_GET", Operator::kMultiGet)
      .value("EXISTS", Operator::kExists)
      .value("LENGTH", Operator::kLength)
      .value("PART", Operator::kPart)
      .value("SET", Operator::kSet)
      .value("SET_ABSENT", Operator::kSetAbsent)
      .value("MULTI_SET", Operator::kMultiSet)
      .value("DELETE", Operator::kDelete)
      .value("ADD", Operator::kAdd)
      .value("SUBTRACT", Operator::kSubtract)
      .value("ADD_BY", Operator::kAddBy)
      .value("SUBTRACT_BY", Operator::kSubtractBy)
      .value("APPEND", Operator::kAppend)
      .value("BEGIN", Operator::kBegin)
      .value("COMMIT", Operator::kCommit);
}

}  // namespace

void bind_engine(nb::module_& m) {
  BindOperators(m);
  nb::class_<CommandCounts>(m, "CommandCounts", "What the kernels count of commands; Python adds its own.")
      .def(nb::init<>())
      .def("reset", [](CommandCounts& counts) { counts = {}; })
      .def_rw("commands", &CommandCounts::commands)
      .def_rw("hits", &CommandCounts::hits)
      .def_rw("misses", &CommandCounts::misses)
      .def_ro("reads", &CommandCounts::reads, "Commands of the kernel that read keys.")
      .def_ro("writes", &CommandCounts::writes, "Commands of the kernel that write.")
      .def_rw("input_bytes", &CommandCounts::input_bytes)
      .def_rw("output_bytes", &CommandCounts::output_bytes);
  nb::class_<PyReadSource>(m, "ReadSource", nb::type_slots(source_slots),
                           "Where a store stands: what readers see at any moment.")
      .def(nb::init<nb::object, nb::object, nb::object>(), "core"_a, "progress"_a, "family_view"_a,
           nb::sig("def __init__(self, core: object, progress: object, "
                   "family_view: collections.abc.Callable[[int, int], ReadView | None]) -> None"),
           "Reads `core.version.view` and, after it, `visible`, `appended` and `closed` of the progress. "
           "`family_view` gives the view of another family than the default one, as of a sequence number.");
  nb::class_<Engine>(m, "Engine", nb::type_slots(engine_slots),
                     "Executes the simple commands of all clients of a server.")
      .def(
          "__init__",
          [](Engine* self, PyReadSource& source, WriteGroup& group, CommandCounts& counts, nb::object now,
             uint64_t reply_bytes_max, uint64_t string_bytes_max, uint64_t keys_max) {
            new (self) Engine(source, group, counts, {reply_bytes_max, string_bytes_max, keys_max},
                              PyClock{Callable(std::move(now))});
          },
          "source"_a, "group"_a, "counts"_a, "now"_a, nb::kw_only(), "reply_bytes_max"_a, "string_bytes_max"_a,
          "keys_max"_a, nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>(), nb::keep_alive<1, 4>(),
          nb::sig("def __init__(self, source: ReadSource, group: WriteGroup, counts: CommandCounts, "
                  "now: collections.abc.Callable[[], float], *, reply_bytes_max: int, string_bytes_max: int, "
                  "keys_max: int) -> None"))
      .def("add", &AddCommand, "name"_a, "operation"_a, "least"_a, "most"_a,
           "Has a command executed here when its request has that many arguments, its name counted.")
      .def("calls", &Calls, nb::sig("def calls(self) -> dict[str, int]"),
           "How often each command was executed here, by its name.");
  nb::class_<ClientPort>(m, "ClientPort", nb::type_slots(port_slots),
                         "The requests of one client; the simple ones are executed here.")
      .def(nb::init<Engine&, ReplyQueue&, const RequestLimits&>(), "engine"_a, "replies"_a, "limits"_a,
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def("feed", &Feed, "data"_a, "taken"_a,
           nb::sig("def feed(self, data: bytes | bytearray | memoryview, taken: int) -> "
                   "list[list[bytes] | bytes] | None"),
           "Executes what these bytes complete, one turn at most; the requests from the first on that Python has to "
           "execute (an inline command as its line), or None. `taken` is one of TAKES_….")
      .def_rw("direct", &ClientPort::direct, "Whether requests are executed here: Python has none that came before.")
      .def_prop_rw(
          "granted", [](const ClientPort& port) { return static_cast<int>(port.granted); },
          [](ClientPort& port, int granted) { port.granted = static_cast<Taken>(std::clamp(granted, 0, 2)); },
          "What the client may have executed here, one of TAKES_…: whatever is taken, it gets no more.")
      .def_prop_rw("one_by_one", &ClientPort::one_by_one, &ClientPort::set_one_by_one,
                   "Whether one feed reads one request at most.")
      .def("set_limits", &ClientPort::set_limits, "limits"_a, "For what comes from now on.")
      .def_rw("quiet", &ClientPort::quiet, "Whether nobody has to be told when replies become ready.")
      .def_rw("last_input_at", &ClientPort::last_input_at, "By the server's clock; who feeds it sets it.")
      .def_ro("held_input_bytes", &ClientPort::held_input_bytes, "Of what came since replies are held; about.")
      .def_prop_rw(
          "family", [](ClientPort& port) { return port.view().family; },
          [](ClientPort& port, uint32_t family) { port.view().family = family; })
      .def_prop_rw(
          "is_resp3", [](ClientPort& port) { return port.view().is_resp3; },
          [](ClientPort& port, bool is_resp3) { port.view().is_resp3 = is_resp3; })
      .def_prop_ro(
          "more", [](const ClientPort& port) { return port.input().stopped(); },
          "The turn was over before all was executed: feed(b\"\") goes on.")
      .def_prop_ro("error", &ClientPort::error, "What is wrong with the bytes, safe to send back.")
      .def_prop_ro("command_name", &ClientPort::command_name,
                   "Of the command that was executed last, if that was here; else empty.")
      .def_prop_ro(
          "unfinished", [](const ClientPort& port) { return port.input().unfinished(); },
          "Part of a request came, and the rest has not.")
      .def_prop_ro("buffered_bytes", [](const ClientPort& port) { return port.input().buffered_bytes(); });
  BindSockets(m);
  m.attr("TAKES_NOTHING") = static_cast<int>(Taken::kNothing);
  m.attr("TAKES_READS") = static_cast<int>(Taken::kReads);
  m.attr("TAKES_ALL") = static_cast<int>(Taken::kAll);
}

}  // namespace replicad
