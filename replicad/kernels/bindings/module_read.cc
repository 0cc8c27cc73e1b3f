// Binds read views and scans.
//
// Whatever allocates a container may run the garbage collector, and so any Python code: bytes are made first, while the
// views that they copy are good.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <optional>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "read/read_view.h"
#include "read/scan.h"
#include "resp/numbers.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

nb::object Get(const ReadView& view, const nb::bytes& key, uint64_t sequence) {
  const InFlight in_flight;
  const LookupResult found = view.Get(View(key), sequence);
  if (!found.present()) return nb::none();
  return ToBytes(found.value);
}

nb::tuple Part(const ReadView& view, const nb::bytes& key, int64_t first, int64_t last, uint64_t sequence) {
  const InFlight in_flight;
  const LookupResult found = view.Get(View(key), sequence);
  const std::string_view value = found.present() ? found.value : std::string_view();
  return nb::make_tuple(value.size(), ToBytes(PartOf(value, first, last)));
}

nb::list MultiGet(const ReadView& view, const nb::list& keys, uint64_t sequence) {
  const InFlight in_flight;
  const size_t count = nb::len(keys);
  // Another thread may change the list while a block is fetched, so the keys are held one by one.
  std::vector<nb::bytes> held;
  std::vector<std::string_view> views;
  held.reserve(count);
  views.reserve(count);
  for (nb::handle key : keys) {
    if (!nb::isinstance<nb::bytes>(key)) throw nb::type_error("keys must be bytes");
    held.push_back(nb::borrow<nb::bytes>(key));
    views.push_back(View(held.back()));
  }
  std::vector<nb::object> values(count);
  view.MultiGet(views, sequence, [&](size_t i, const LookupResult& found) {
    if (found.present()) values[i] = ToBytes(found.value);
  });
  nb::list list;
  for (const nb::object& value : values) list.append(value ? value : nb::none());
  return list;
}

// A scan as Python sees it: used by one call at a time, and never again after an exception.
class ScanCursor {
 private:
  template <typename Work>
  auto Use(Work work) {
    if (state_ != State::kIdle) {
      throw Busy(state_ == State::kBusy ? "another thread uses this iterator: give each thread one of its own"
                                        : "an earlier read of this iterator failed: begin another one");
    }
    const InFlight in_flight;
    state_ = State::kBusy;
    try {
      auto result = work();
      state_ = State::kIdle;
      return result;
    } catch (...) {
      state_ = State::kFailed;
      throw;
    }
  }

 public:
  explicit ScanCursor(std::unique_ptr<Scan> scan) : scan_(std::move(scan)) {}
  const Scan& scan() const { return *scan_; }

  nb::list Page(size_t count, size_t bytes_max) {
    return Use([&] {
      nb::list pairs;
      std::string_view key, value;
      for (size_t bytes = 0, n = 0; n < count && (n == 0 || bytes < bytes_max) && scan_->Next(key, value); ++n) {
        bytes += key.size() + value.size();
        nb::bytes key_object = ToBytes(key), value_object = ToBytes(value);
        PyObject* pair = PyTuple_New(2);
        if (!pair) throw nb::python_error();
        PyTuple_SET_ITEM(pair, 0, key_object.release().ptr());
        PyTuple_SET_ITEM(pair, 1, value_object.release().ptr());
        // Two bytes are in no cycle: the collector would only walk over all pairs of a long result to find that out.
        PyObject_GC_UnTrack(pair);
        pairs.append(nb::steal(pair));
      }
      return pairs;
    });
  }

  nb::bytes EncodedPage(size_t bytes_max) {
    return Use([&] {
      std::string page;
      std::string_view key, value;
      while ((page.empty() || page.size() < bytes_max) && scan_->Next(key, value)) {
        char lengths[8];
        StoreU32(lengths, static_cast<uint32_t>(key.size()));
        StoreU32(lengths + 4, static_cast<uint32_t>(value.size()));
        page.append(lengths, sizeof lengths).append(key).append(value);
      }
      return ToBytes(page);
    });
  }

 private:
  enum class State { kIdle, kBusy, kFailed };
  std::unique_ptr<Scan> scan_;
  State state_ = State::kIdle;
};

std::optional<std::string> Bound(const nb::object& key) {
  if (key.is_none()) return std::nullopt;
  if (!nb::isinstance<nb::bytes>(key)) throw nb::type_error("a bound must be bytes or None");
  return std::string(View(nb::borrow<nb::bytes>(key)));
}

ScanCursor* MakeCursor(std::shared_ptr<ReadView> view, const nb::object& lower, const nb::object& upper,
                       uint64_t sequence, bool reverse, bool fill_cache) {
  const Direction direction = reverse ? Direction::kReverse : Direction::kForward;
  return new ScanCursor(Scan::Make(std::move(view), {Bound(lower), Bound(upper)}, sequence, direction, fill_cache));
}

int TraverseReadView(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  for (const TableRun& run : nb::inst_ptr<ReadView>(self)->runs()) {
    for (const auto& table : run) Py_VISIT(nb::find(table.get()).ptr());
  }
  return 0;
}

int TraverseCursor(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (nb::inst_ready(self)) Py_VISIT(nb::find(&nb::inst_ptr<ScanCursor>(self)->scan().view()).ptr());
  return 0;
}

PyType_Slot read_view_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseReadView)}, {0, nullptr}};
PyType_Slot cursor_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseCursor)}, {0, nullptr}};

}  // namespace

void bind_read(nb::module_& m) {
  nb::class_<ScanCursor>(m, "Cursor", nb::type_slots(cursor_slots),
                         "A scan under way. One call at a time; of no use after an exception.")
      .def("page", &ScanCursor::Page, "count"_a, "bytes_max"_a = 1 << 20,
           nb::sig("def page(self, count: int, bytes_max: int = 1048576) -> list[tuple[bytes, bytes]]"),
           "The next pairs: at most count, one at least, and none more once their bytes reach bytes_max. Empty at the\n"
           "end.")
      .def("encoded_page", &ScanCursor::EncodedPage, "bytes_max"_a,
           "The next pairs as (u32 key length, u32 value length, key, value)*, about bytes_max; empty at the end.");

  nb::class_<ReadView>(m, "ReadView", nb::type_slots(read_view_slots),
                       "Everything that a reader of one column family needs. Immutable.")
      .def(nb::init<std::vector<std::shared_ptr<Memtable>>, std::vector<std::shared_ptr<Table>>,
                    std::vector<TableRun>>(),
           "memtables"_a, "level0"_a, "levels"_a,
           "Memtables and level0 newest first; levels are level 1 and on, each sorted and without overlap.")
      .def("get", &Get, "key"_a, "sequence"_a, nb::sig("def get(self, key: bytes, sequence: int) -> bytes | None"))
      .def("part", &Part, "key"_a, "first"_a, "last"_a, "sequence"_a,
           nb::sig("def part(self, key: bytes, first: int, last: int, sequence: int) -> tuple[int, bytes]"),
           "(length of the value, its bytes from first through last), where a negative place counts from the end, as "
           "in\n"
           "Redis's GETRANGE; (0, b\"\") without a value. Nothing else of the value is copied.")
      .def("multi_get", &MultiGet, "keys"_a, "sequence"_a,
           nb::sig("def multi_get(self, keys: list[bytes], sequence: int) -> list[bytes | None]"))
      .def(
          "contains",
          [](const ReadView& view, const nb::bytes& key, uint64_t sequence) {
            const InFlight in_flight;
            return view.Get(View(key), sequence).present();
          },
          "key"_a, "sequence"_a)
      .def(
          "sequence_of",
          [](const ReadView& view, const nb::bytes& key, uint64_t sequence) -> uint64_t {
            const InFlight in_flight;
            const LookupResult found = view.Get(View(key), sequence);
            return found.present() ? TrailerSequence(found.trailer) : 0;
          },
          "key"_a, "sequence"_a, "The sequence number of the visible version; 0 when absent or deleted.")
      .def("scan", &MakeCursor, "lower"_a.none(), "upper"_a.none(), "sequence"_a, "reverse"_a = false,
           "fill_cache"_a = true,
           nb::sig("def scan(self, lower: bytes | None, upper: bytes | None, sequence: int, reverse: bool = False,"
                   " fill_cache: bool = True) -> Cursor"),
           "The visible pairs with lower <= key < upper, in order or in reverse. The cursor keeps this view alive. "
           "Blocks\n"
           "that were not cached are kept, a long scan's only where nothing else has to go; without fill_cache none "
           "is.");
}

}  // namespace replicad
