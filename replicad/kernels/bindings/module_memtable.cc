// Binds Memtable and MemtableSet.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "memtable/memtable.h"
#include "memtable/memtable_set.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

nb::tuple Get(const Memtable& memtable, const nb::bytes& key, uint64_t sequence) {
  const auto* record = memtable.Get(View(key), sequence);
  if (record == nullptr) return nb::make_tuple(false, nb::none());
  if (TrailerKind(record->trailer) == EntryKind::kDelete) return nb::make_tuple(true, nb::none());
  return nb::make_tuple(true, ToBytes(record->value()));
}

nb::list Items(const Memtable& memtable, uint64_t sequence) {
  nb::list items;
  MemtableIterator entry(&memtable);
  for (entry.SeekToFirst(); entry.Valid(); entry.Next()) {
    const uint64_t entry_sequence = TrailerSequence(entry.trailer());
    if (entry_sequence > sequence) continue;
    items.append(nb::make_tuple(ToBytes(entry.key()), entry_sequence, static_cast<int>(TrailerKind(entry.trailer())),
                                ToBytes(entry.value())));
  }
  return items;
}

}  // namespace

void bind_memtable(nb::module_& m) {
  nb::class_<Memtable>(m, "Memtable", "The newest entries of one column family, ordered, every version kept.")
      .def(nb::init<>())
      .def_prop_ro("memory_bytes", &Memtable::memory_bytes, "All memory held, unused rests included.")
      .def_prop_ro("data_bytes", &Memtable::data_bytes, "Bytes of keys and values.")
      .def_prop_ro("entries", &Memtable::entries)
      .def_prop_ro("first_sequence", &Memtable::first_sequence, "Least sequence number held; 0 when empty.")
      .def_prop_ro("last_sequence", &Memtable::last_sequence, "Greatest sequence number held; 0 when empty.")
      .def_prop_ro("sealed", &Memtable::sealed)
      .def("seal", &Memtable::Seal, "No more inserts; from now on any thread may read without the GIL.")
      .def("get", &Get, "key"_a, "sequence"_a,
           nb::sig("def get(self, key: bytes, sequence: int) -> tuple[bool, bytes | None]"),
           "(found, value) of the newest version at or below sequence; found without a value is a deletion.")
      .def("items", &Items, "sequence"_a = UINT64_MAX,
           nb::sig("def items(self, sequence: int = 18446744073709551615) -> list[tuple[bytes, int, int, bytes]]"),
           "(key, sequence, kind, value) of every version at or below sequence, in order.")
      .def("without_after", &Memtable::WithoutAfter, "sequence"_a,
           "A copy that holds only the entries at or below sequence.");

  nb::class_<MemtableSet>(m, "MemtableSet", "Which memtable takes the operations of which column family.")
      .def(nb::init<>())
      .def("set", &MemtableSet::Set, "family"_a, "memtable"_a)
      .def("remove", &MemtableSet::Remove, "family"_a, "Operations of the family are skipped from now on.")
      .def("get", &MemtableSet::Get, "family"_a, nb::sig("def get(self, family: int) -> Memtable | None"))
      .def("unknown_family", &MemtableSet::UnknownFamily, "batch"_a,
           "The first family that the batch writes to and that is not in the set, or None.")
      .def_prop_ro("memory_bytes", &MemtableSet::memory_bytes, "The sum over its memtables that are not empty.");
}

}  // namespace replicad
