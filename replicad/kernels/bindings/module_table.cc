// Binds the kernels of tables and of reading: blocks, the block cache, tables, read views, scans.
//
// Garbage collection: the only Python object that these classes own is a table's fetch, so that is where a cycle is
// cut; what holds tables is traversed to be seen by the collector.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/errors.h"
#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "bindings/module_sealed.h"
#include "read/read_view.h"
#include "read/scan.h"
#include "table/block.h"
#include "table/bloom.h"
#include "table/table.h"
#include "table/table_piece.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

void BindDecoders(nb::module_& m) {
  m.def(
      "decode_block",
      [](const BytesLike& raw) {
        nb::list entries;
        VisitBlock(raw.view(), [&](std::string_view key, uint64_t trailer, std::string_view value) {
          entries.append(nb::make_tuple(ToBytes(key), TrailerSequence(trailer), static_cast<int>(TrailerKind(trailer)),
                                        ToBytes(value)));
        });
        return entries;
      },
      "raw"_a, nb::sig("def decode_block(raw: bytes | bytearray | memoryview) -> list[tuple[bytes, int, int, bytes]]"),
      "(key, sequence, kind, value) of every entry of a raw data block; checks all that the format promises.");
  m.def(
      "decode_index",
      [](const BytesLike& raw) {
        const TableIndex index(raw.view());
        nb::list blocks;
        for (uint32_t i = 0; i < index.block_count(); ++i) {
          const BlockHandle handle = index.handle(i);
          blocks.append(nb::make_tuple(ToBytes(index.separator(i)), handle.offset, handle.length, handle.raw_length));
        }
        return blocks;
      },
      "raw"_a, nb::sig("def decode_index(raw: bytes | bytearray | memoryview) -> list[tuple[bytes, int, int, int]]"),
      "(separator, offset, length, raw length) of every block of a raw index block.");
  m.def(
      "filter_may_contain",
      [](const BytesLike& raw, const nb::bytes& key) { return Filter(raw.view()).MayContain(FilterHash(View(key))); },
      "raw"_a, "key"_a, "Whether a raw filter block may contain the key. Parses the filter each time.");
}

// Asks Python for a table's parts.
class FetchSource final : public BlockSource {
 public:
  FetchSource(nb::callable load, nb::callable fetch) : load_(std::move(load)), fetch_(std::move(fetch)) {}

  std::shared_ptr<const TableContents> Load() override {
    const nb::object load = load_.get();
    if (!load) throw nb::value_error(kCleared);
    return nb::cast<std::shared_ptr<TableContents>>(load());
  }

  BlockRef Fetch(const BlockHandle& handle, uint32_t skip_bytes) override {
    const nb::object fetch = fetch_.get();
    if (!fetch) throw nb::value_error(kCleared);
    const nb::object result = fetch(handle.offset, handle.length, handle.raw_length);
    BytesLike raw;
    if (!raw.Hold(result.ptr())) throw nb::type_error("fetch must return a bytes-like object");
    if (raw.view().size() != handle.raw_length) {
      throw Corruption("a data block of " + std::to_string(raw.view().size()) + " bytes where the index says " +
                           std::to_string(handle.raw_length),
                       0);
    }
    return Block::Copy(raw.view(), skip_bytes);
  }

  int Traverse(visitproc visit, void* arg) const {
    Py_VISIT(load_.ptr());
    Py_VISIT(fetch_.ptr());
    return 0;
  }
  void Clear() {
    load_.Drop();
    fetch_.Drop();
  }

 private:
  static constexpr const char* kCleared = "the table was cleared by the garbage collector";
  Kept load_;
  Kept fetch_;
};

void InitContents(TableContents* self, const BytesLike& index, const BytesLike& filter) {
  new (self) TableContents(index.view(), filter.view());
}

void InitTable(Table* self, uint64_t number, const nb::bytes& smallest, const nb::bytes& largest,
               std::shared_ptr<BlockCache> cache, nb::callable load, nb::callable fetch) {
  new (self) Table(number, std::string(View(smallest)), std::string(View(largest)), std::move(cache),
                   std::make_unique<FetchSource>(std::move(load), std::move(fetch)));
}

FetchSource& SourceOf(Table& table) { return static_cast<FetchSource&>(table.source()); }

int TraverseTable(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? SourceOf(*nb::inst_ptr<Table>(self)).Traverse(visit, arg) : 0;
}

int ClearTable(PyObject* self) {
  if (nb::inst_ready(self)) SourceOf(*nb::inst_ptr<Table>(self)).Clear();
  return 0;
}

PyType_Slot table_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseTable)},
                             {Py_tp_clear, reinterpret_cast<void*>(ClearTable)},
                             {0, nullptr}};

void BindTable(nb::module_& m) {
  nb::class_<BlockCache>(m, "BlockCache",
                         "Raw blocks of open tables, with their indexes and filters, under one budget of bytes.")
      .def(nb::init<size_t>(), "capacity_bytes"_a)
      .def_prop_rw("capacity_bytes", &BlockCache::capacity_bytes, &BlockCache::set_capacity_bytes)
      .def_prop_ro("used_bytes", &BlockCache::used_bytes, "By blocks.")
      .def_prop_ro("charged_bytes", &BlockCache::charged_bytes,
                   "By indexes and filters; it leaves blocks that much less.")
      .def_prop_ro("hits", &BlockCache::hits)
      .def_prop_ro("misses", &BlockCache::misses);

  nb::class_<TableContents>(m, "TableContents", "Index and filter of a table, parsed. Immutable.")
      .def("__init__", &InitContents, "index"_a, "filter"_a,
           nb::sig("def __init__(self, index: bytes | bytearray | memoryview, "
                   "filter: bytes | bytearray | memoryview) -> None"),
           "From the raw blocks; raises CorruptionError when a builder writes no such ones.");

  nb::class_<Table>(
      m, "Table", nb::type_slots(table_slots),
      "One open table: its index and filter in memory once used, its data blocks in the cache or fetched.")
      .def("__init__", &InitTable, "number"_a, "smallest"_a, "largest"_a, "cache"_a, "load"_a, "fetch"_a,
           nb::sig("def __init__(self, number: int, smallest: bytes, largest: bytes, cache: BlockCache, "
                   "load: collections.abc.Callable[[], TableContents], "
                   "fetch: collections.abc.Callable[[int, int, int], bytes | bytearray | memoryview]) -> None"),
           "load() returns the contents, fetch(offset, length, raw_length) a verified, decompressed block; what they\n"
           "raise comes out of the call that needed it.")
      .def_prop_ro("number", &Table::number)
      .def(
          "load",
          [](Table& table) {
            const InFlight in_flight;
            table.contents();
          },
          "Reads index and filter now, if nothing has yet.")
      .def_prop_ro("memory_bytes", &Table::memory_bytes,
                   "What index, filter and slots take, when they are here; not the cached blocks.")
      .def_prop_ro(
          "block_count", [](Table& table) { return table.index().block_count(); }, "Data blocks.")
      .def(
          "piece",
          [](Table& table, uint32_t first, uint64_t piece_bytes) {
            if (first >= table.index().block_count()) throw nb::index_error("no such block");
            const TablePiece piece = PieceFrom(table.index(), first, piece_bytes);
            return nb::make_tuple(piece.end, piece.offset, piece.length);
          },
          "first"_a, "piece_bytes"_a, nb::sig("def piece(self, first: int, piece_bytes: int) -> tuple[int, int, int]"),
          "The data blocks from number `first` on that lie within piece_bytes, one at least: (number behind the last, "
          "offset\n"
          "in the file, length with the trailers).")
      .def(
          "open_piece",
          [](Table& table, uint32_t first, uint32_t end, const BytesLike& sealed, const nb::bytes& table_id) {
            const TableIndex& index = table.index();
            if (first > end || end > index.block_count()) throw nb::index_error("no such blocks");
            return WithoutGilIf(sealed.view().size() > kReleaseGilBytes, [&] {
              return std::make_shared<OpenedBlocks>(OpenPiece(index, first, end, sealed.view(), View(table_id)));
            });
          },
          "first"_a, "end"_a, "sealed"_a, "table_id"_a,
          nb::sig("def open_piece(self, first: int, end: int, sealed: bytes | bytearray | memoryview, table_id: bytes) "
                  "-> OpenedBlocks"),
          "The raw data blocks first to end out of what lies there; raises CorruptionError with the offset in the "
          "file.")
      .def_prop_ro(
          "block_handles",
          [](Table& table) {
            nb::list handles;
            for (uint32_t i = 0; i < table.index().block_count(); ++i) {
              const BlockHandle handle = table.index().handle(i);
              handles.append(nb::make_tuple(handle.offset, handle.length, handle.raw_length));
            }
            return handles;
          },
          nb::sig("def block_handles(self) -> list[tuple[int, int, int]]"),
          "(offset, length, raw length) of every data block, in order.");
}

}  // namespace

void bind_table(nb::module_& m) {
  BindDecoders(m);
  BindTable(m);
}

}  // namespace replicad
