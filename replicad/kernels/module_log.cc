// Binds the kernels of the log: checksums, batches, frames, memtables.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>

#include "crc32c.h"
#include "memtable.h"
#include "module.h"
#include "module_bytes.h"
#include "xxh64.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

void BindChecksums(nb::module_& m) {
  m.def(
      "crc32c",
      [](const BytesLike& data, uint32_t value) {
        const auto view = data.view();
        return WithoutGilIf(view.size() > kReleaseGilBytes,
                            [&] { return Crc32cExtend(value, view.data(), view.size()); });
      },
      "data"_a, "value"_a = 0, "CRC-32C of data; crc32c(b, crc32c(a)) == crc32c(a + b).");
  m.def(
      "xxh64",
      [](const BytesLike& data, uint64_t seed) {
        const auto view = data.view();
        return WithoutGilIf(view.size() > kReleaseGilBytes, [&] { return Xxh64(view, seed); });
      },
      "data"_a, "seed"_a = 0, "XXH64 of data.");
}

nb::list Items(const Memtable& memtable, uint64_t sequence) {
  nb::list items;
  MemtableIterator entry(&memtable);
  for (entry.SeekToFirst(); entry.Valid(); entry.Next()) {
    const uint64_t entry_sequence = TrailerSequence(entry.trailer());
    if (entry_sequence > sequence) continue;
    items.append(nb::make_tuple(ToBytes(entry.key()), entry_sequence,
                                static_cast<int>(TrailerKind(entry.trailer())), ToBytes(entry.value())));
  }
  return items;
}

void BindMemtable(nb::module_& m) {
  nb::class_<Memtable>(m, "Memtable", "The newest entries of one column family, ordered, every version kept.")
      .def(nb::init<>())
      .def_prop_ro("memory_bytes", &Memtable::memory_bytes, "All memory held, unused rests included.")
      .def_prop_ro("data_bytes", &Memtable::data_bytes, "Bytes of keys and values.")
      .def_prop_ro("entries", &Memtable::entries)
      .def_prop_ro("first_sequence", &Memtable::first_sequence, "Least sequence number held; 0 when empty.")
      .def_prop_ro("last_sequence", &Memtable::last_sequence, "Greatest sequence number held; 0 when empty.")
      .def_prop_ro("sealed", &Memtable::sealed)
      .def("seal", &Memtable::Seal, "No more inserts; from now on any thread may read without the GIL.")
      .def(
          "get",
          [](const Memtable& memtable, const nb::bytes& key, uint64_t sequence) {
            const auto* record = memtable.Get(View(key), sequence);
            if (record == nullptr) return nb::make_tuple(false, nb::none());
            if (TrailerKind(record->trailer) == EntryKind::kDelete) return nb::make_tuple(true, nb::none());
            return nb::make_tuple(true, ToBytes(record->value()));
          },
          "key"_a, "sequence"_a, nb::sig("def get(self, key: bytes, sequence: int) -> tuple[bool, bytes | None]"),
          "(found, value) of the newest version at or below sequence; found without a value is a deletion.")
      .def("items", &Items, "sequence"_a = UINT64_MAX,
           nb::sig("def items(self, sequence: int = 18446744073709551615) -> list[tuple[bytes, int, int, bytes]]"),
           "(key, sequence, kind, value) of every version at or below sequence, in order.")
      .def("without_after", &Memtable::WithoutAfter, "sequence"_a,
           "A copy that holds only the entries at or below sequence.");
}

}  // namespace

void bind_log(nb::module_& m) {
  BindChecksums(m);
  BindMemtable(m);
}

}  // namespace replicad
