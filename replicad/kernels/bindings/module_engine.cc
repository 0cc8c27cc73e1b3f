// Binds what executes the simple commands of clients.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "bindings/module_callable.h"
#include "bindings/module_requests.h"
#include "resp/client_port.h"

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
    const nb::object version = Of(core_, version_);
    ReadPoint point;
    point.view = nb::cast<std::shared_ptr<ReadView>>(Of(version, view_));
    point.visible = nb::cast<uint64_t>(Of(progress_, visible_));
    point.appended = nb::cast<uint64_t>(Of(progress_, appended_));
    if (Of(progress_, closed_).is(Py_True)) point.view = nullptr;
    return point;
  }

  std::shared_ptr<const ReadView> Family(uint32_t family, uint64_t sequence) override {
    const nb::object view = family_view_(family, sequence);
    return view.is_none() ? nullptr : nb::cast<std::shared_ptr<ReadView>>(view);
  }

 private:
  static nb::object Of(const nb::object& object, const nb::object& name) {
    PyObject* value = PyObject_GetAttr(object.ptr(), name.ptr());
    if (value == nullptr) throw nb::python_error();
    return nb::steal(value);
  }
  static nb::object Name(const char* name) { return nb::steal(PyUnicode_InternFromString(name)); }

  nb::object core_, progress_, family_view_;
  const nb::object version_ = Name("version"), view_ = Name("view"), visible_ = Name("visible"),
                   appended_ = Name("appended"), closed_ = Name("closed");
};

// Requests go to Python as lists of bytes, inline lines as bytes.
struct Handed {
  nb::object requests;  // null while there are none
  size_t lines = 0;

  void Take(const Request& request) { Add(ToList(request)); }
  void TakeLine(std::string_view line) {
    Add(ToBytes(line));
    ++lines;
  }
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
  void Add(const nb::object& request) {
    if (!requests.is_valid()) requests = nb::list();
    if (PyList_Append(requests.ptr(), request.ptr()) != 0) throw nb::python_error();
  }
};

nb::object Feed(ClientPort& port, const BytesLike& data, int taken) {
  const InFlight in_flight;
  Handed handed;
  port.Feed(data.view(), static_cast<Taken>(taken), handed);
  return handed.requests.is_valid() ? handed.requests : nb::none();
}

void AddCommand(Engine& engine, const std::string& name, Operator operation, uint32_t least, uint32_t most) {
  engine.commands.Add({name, operation, least, most});
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
      .value("APPEND", Operator::kAppend);
}

}  // namespace

void bind_engine(nb::module_& m) {
  BindOperators(m);
  nb::class_<CommandCounts>(m, "CommandCounts", "What the kernels count of commands; Python adds its own.")
      .def(nb::init<>())
      .def_rw("commands", &CommandCounts::commands)
      .def_rw("hits", &CommandCounts::hits)
      .def_rw("misses", &CommandCounts::misses);
  nb::class_<PyReadSource>(m, "ReadSource", "Where a store stands: what readers see at any moment.")
      .def(nb::init<nb::object, nb::object, nb::object>(), "core"_a, "progress"_a, "family_view"_a,
           nb::sig("def __init__(self, core: object, progress: object, "
                   "family_view: collections.abc.Callable[[int, int], ReadView | None]) -> None"),
           "Reads `core.version.view` and, after it, `visible`, `appended` and `closed` of the progress. "
           "`family_view` gives the view of another family than the default one, as of a sequence number.");
  nb::class_<Engine>(m, "Engine", "Executes the simple commands of all clients of a server.")
      .def(
          "__init__",
          [](Engine* self, PyReadSource& source, WriteGroup& group, CommandCounts& counts, nb::object now,
             uint64_t reply_bytes_max, uint64_t string_bytes_max, uint64_t keys_max) {
            new (self) Engine(source, group, counts, {reply_bytes_max, string_bytes_max, keys_max},
                              [now = Callable(std::move(now))] { return nb::cast<double>(now.Call()); });
          },
          "source"_a, "group"_a, "counts"_a, "now"_a, nb::kw_only(), "reply_bytes_max"_a, "string_bytes_max"_a,
          "keys_max"_a, nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>(), nb::keep_alive<1, 4>(),
          nb::sig("def __init__(self, source: ReadSource, group: WriteGroup, counts: CommandCounts, "
                  "now: collections.abc.Callable[[], float], *, reply_bytes_max: int, string_bytes_max: int, "
                  "keys_max: int) -> None"))
      .def("add", &AddCommand, "name"_a, "operation"_a, "least"_a, "most"_a,
           "Has a command executed here when its request has that many arguments, its name counted.");
  nb::class_<ClientPort>(m, "ClientPort", "The requests of one client; the simple ones are executed here.")
      .def(nb::init<Engine&, ReplyQueue&, const RequestLimits&>(), "engine"_a, "replies"_a, "limits"_a,
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def("feed", &Feed, "data"_a, "taken"_a,
           nb::sig("def feed(self, data: bytes | bytearray | memoryview, taken: int) -> "
                   "list[list[bytes] | bytes] | None"),
           "Executes what these bytes complete, one turn at most; the requests from the first on that Python has to "
           "execute (an inline command as its line), or None. `taken` is one of TAKES_….")
      .def_rw("direct", &ClientPort::direct, "Whether requests are executed here: Python has none that came before.")
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
  m.attr("TAKES_NOTHING") = static_cast<int>(Taken::kNothing);
  m.attr("TAKES_READS") = static_cast<int>(Taken::kReads);
  m.attr("TAKES_ALL") = static_cast<int>(Taken::kAll);
}

}  // namespace replicad
