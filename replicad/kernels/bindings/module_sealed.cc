// Binds blocks as they lie in the file of a table, and the pieces in which merges read them.
#include "bindings/module_sealed.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "table/lz4.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

nb::tuple Opened(const OpenedBlock& block) { return nb::make_tuple(ToBytes(block.raw), block.compressed); }

nb::tuple ToTuple(const BlockHandle& handle) { return nb::make_tuple(handle.offset, handle.length, handle.raw_length); }

nb::bytes TakeAll(PySealer& owner) {
  BlockSealer& sealer = owner.Idle();
  auto bytes = nb::steal<nb::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(sealer.waiting())));
  if (!bytes.is_valid()) throw nb::python_error();
  sealer.Take(PyBytes_AS_STRING(bytes.ptr()), sealer.waiting());
  return bytes;
}

}  // namespace

void bind_sealed(nb::module_& m) {
  m.def("load_lz4", &LoadLz4, "module"_a,
        "Takes the functions of LZ4 from a shared library that is loaded or that the loader finds; False when it has "
        "none.\n"
        "Comes before any block is sealed or opened.");
  m.def(
      "open_block",
      [](const BytesLike& sealed, const nb::bytes& table_id, uint64_t offset, uint32_t length, uint32_t raw_length) {
        return Opened(OpenBlock(sealed.view(), View(table_id), {offset, length, raw_length}));
      },
      "sealed"_a, "table_id"_a, "offset"_a, "length"_a, "raw_length"_a,
      nb::sig("def open_block(sealed: bytes | bytearray | memoryview, table_id: bytes, offset: int, length: int, "
              "raw_length: int) -> tuple[bytes, bool]"),
      "(raw block, whether it was compressed) out of what lies at a handle, trailer included; raises CorruptionError "
      "with\n"
      "the offset in the file.");

  nb::class_<OpenedBlocks>(m, "OpenedBlocks", "Raw data blocks out of a file, in order.")
      .def(
          "tolist",
          [](const OpenedBlocks& opened) {
            nb::list blocks;
            for (const OpenedBlock& block : opened.blocks) blocks.append(Opened(block));
            return blocks;
          },
          nb::sig("def tolist(self) -> list[tuple[bytes, bool]]"), "(raw block, whether it was compressed) of each.");

  nb::class_<PySealer>(m, "BlockSealer", "Seals the blocks of one table as they are to lie in its file.")
      .def(
          "__init__",
          [](PySealer* self, const nb::bytes& table_id, bool compress) {
            new (self) PySealer(View(table_id), compress);
          },
          "table_id"_a, "compress"_a, "compress: try LZ4.")
      .def(
          "add_data",
          [](PySealer& sealer, const BytesLike& raw, bool incompressible) {
            return ToTuple(sealer.Idle().SealData(raw.view(), incompressible));
          },
          "raw"_a, "incompressible"_a = false,
          nb::sig("def add_data(self, raw: bytes | bytearray | memoryview, incompressible: bool = False) -> "
                  "tuple[int, int, int]"),
          "A data block; returns its handle: offset, length, raw length. incompressible: as merges know it.")
      .def(
          "add",
          [](PySealer& sealer, const BytesLike& raw, bool try_lz4) {
            return ToTuple(sealer.Idle().Seal(raw.view(), try_lz4));
          },
          "raw"_a, "try_lz4"_a,
          nb::sig("def add(self, raw: bytes | bytearray | memoryview, try_lz4: bool) -> tuple[int, int, int]"),
          "Any other block; returns its handle. try_lz4 counts where the table is compressed.")
      .def("take", &TakeAll, "What is sealed and not taken.")
      .def_prop_ro(
          "offset", [](PySealer& sealer) { return sealer.Idle().offset(); },
          "How long the table is so far, taken or not.")
      .def_prop_ro(
          "tried", [](PySealer& sealer) { return sealer.Idle().tried(); }, "Blocks that LZ4 was tried on.")
      .def_prop_ro(
          "compressed", [](PySealer& sealer) { return sealer.Idle().compressed(); }, "Blocks that LZ4 made smaller.");
}

}  // namespace replicad
