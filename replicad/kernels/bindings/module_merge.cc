// Binds the merger.
#include <nanobind/nanobind.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <type_traits>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "bindings/module_sealed.h"
#include "merge/merger.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

void Require(bool condition, const char* message) {
  if (condition) return;
  PyErr_SetString(PyExc_AssertionError, message);
  throw nb::python_error();
}

// The merger as Python sees it: one call at a time, checked, because run() lets other threads go on.
class PyMerger {
 public:
  PyMerger(std::vector<uint64_t> snapshots, bool bottom, const std::vector<nb::bytes>& boundaries, size_t block_bytes,
           uint32_t bits_per_key)
      : merger_({Sorted(std::move(snapshots)), bottom, Sorted(Strings(boundaries)), block_bytes, bits_per_key}) {}

  void AddMemtable(std::shared_ptr<Memtable> memtable) {
    Require(memtable->sealed(), "only a sealed memtable can be merged");
    NotBegun().AddMemtable(std::move(memtable));
  }
  uint32_t AddRun() { return NotBegun().AddRun(); }
  void Feed(uint32_t input, const BytesLike& raw_block, bool incompressible) {
    Open(input).Feed(input, std::string(raw_block.view()), incompressible);
  }
  void FeedOpened(uint32_t input, OpenedBlocks& opened, bool tried) {
    Merger& merger = Open(input);
    for (OpenedBlock& block : opened.blocks) merger.Feed(input, std::move(block.raw), tried && !block.compressed);
    opened.blocks.clear();
  }
  void Finish(uint32_t input) { Open(input).Finish(input); }

  int Run(size_t output_bytes) {
    Require(!Idle().table_ended(), "the table has ended: finish_table comes first");
    status_ = Alone([&] { return merger_.Run(output_bytes); });
    return static_cast<int>(status_);
  }
  uint32_t NeededInput() {
    Require(status_ == MergeStatus::kNeedInput, "the merger needs no input now");
    return Idle().needed_input();
  }

  nb::list TakeBlocks() {
    const auto blocks = Idle().builder().TakeBlocks();
    nb::list taken;
    for (const BuiltBlock& block : blocks) taken.append(nb::make_tuple(ToBytes(block.raw), block.incompressible));
    return taken;
  }
  void BlockWritten(uint64_t offset, uint32_t length) {
    Require(Idle().builder().BlockWritten(offset, length), "no block was taken that is not written yet");
  }
  // Blocks that are ready are sealed, and what fills the buffer goes there.
  bool Seal(PySealer& owner, nb::bytearray buffer) {
    const BytesLike held = [&] {
      BytesLike bytes;
      if (!bytes.Hold(buffer.ptr())) throw nb::type_error("a bytearray is needed");
      return bytes;
    }();
    TableBuilder& builder = Idle().builder();
    const PySealer::Use use(owner);
    BlockSealer& sealer = use.sealer;
    const size_t room = held.view().size();
    if (builder.ready_bytes() == 0 && sealer.waiting() < room) return false;
    return Alone([&] {
      for (const BuiltBlock& block : builder.TakeBlocks()) {
        const BlockHandle handle = sealer.SealData(block.raw, block.incompressible);
        builder.BlockWritten(handle.offset, handle.length);
      }
      if (sealer.waiting() < room) return false;
      sealer.Take(static_cast<char*>(buffer.data()), room);
      return true;
    });
  }
  void RequestCut() { Idle().RequestCut(); }
  void RequestCutAtBoundary() { Idle().RequestCutAtBoundary(); }
  // Building the filter takes milliseconds for a large table.
  TableSummary FinishTable() {
    Require(Idle().table_ended(), "the table has not ended");
    Require(merger_.builder().all_written(), "a block of the table is not written yet");
    return Alone([&] { return merger_.FinishTable(); });
  }

  // The merger, when nobody else is using it.
  Merger& Idle() {
    Require(state_ != State::kRunning, "the merger is running");
    Require(state_ != State::kFailed, "the merger failed before");
    return merger_;
  }

 private:
  // Without the GIL, and refusing other calls meanwhile.
  template <typename Work>
  std::invoke_result_t<Work> Alone(Work work) {
    state_ = State::kRunning;
    try {
      auto result = WithoutGilIf(true, work);
      state_ = State::kBegun;
      return result;
    } catch (...) {
      state_ = State::kFailed;
      throw;
    }
  }
  template <typename Value>
  static std::vector<Value> Sorted(std::vector<Value> values) {
    std::sort(values.begin(), values.end());
    return values;
  }
  static std::vector<std::string> Strings(const std::vector<nb::bytes>& keys) {
    std::vector<std::string> strings;
    for (const nb::bytes& key : keys) strings.emplace_back(View(key));
    return strings;
  }
  Merger& NotBegun() {
    Require(state_ == State::kIdle, "inputs are added before the first run");
    return merger_;
  }
  Merger& Open(uint32_t input) {
    Require(input < Idle().run_count(), "there is no such input");
    Require(!merger_.fed_to_the_end(input), "the input is finished");
    return merger_;
  }

  enum class State { kIdle, kBegun, kRunning, kFailed };
  Merger merger_;
  State state_ = State::kIdle;
  MergeStatus status_ = MergeStatus::kBlocks;
};

}  // namespace

void bind_merge(nb::module_& m) {
  m.attr("MERGE_NEED_INPUT") = static_cast<int>(MergeStatus::kNeedInput);
  m.attr("MERGE_BLOCKS") = static_cast<int>(MergeStatus::kBlocks);
  m.attr("MERGE_TABLE_END") = static_cast<int>(MergeStatus::kTableEnd);
  m.attr("MERGE_DONE") = static_cast<int>(MergeStatus::kDone);

  nb::class_<TableSummary>(m, "TableSummary", "What a finished table is, beside its data blocks.")
      .def_prop_ro(
          "filter", [](const TableSummary& table) { return ToBytes(table.filter); }, "Raw filter block.")
      .def_prop_ro(
          "index", [](const TableSummary& table) { return ToBytes(table.index); }, "Raw index block.")
      .def_prop_ro(
          "smallest", [](const TableSummary& table) { return ToBytes(table.smallest); }, "First user key.")
      .def_prop_ro(
          "largest", [](const TableSummary& table) { return ToBytes(table.largest); }, "Last user key.")
      .def_ro("first_sequence", &TableSummary::first_sequence, "Least sequence number of the entries.")
      .def_ro("last_sequence", &TableSummary::last_sequence, "Greatest sequence number of the entries.")
      .def_ro("entries", &TableSummary::entries)
      .def_ro("deletions", &TableSummary::deletions)
      .def_ro("raw_key_bytes", &TableSummary::raw_key_bytes)
      .def_ro("raw_value_bytes", &TableSummary::raw_value_bytes);

  nb::class_<PyMerger>(m, "Merger", "Merges sealed memtables and runs of tables into new tables, block in, block out.")
      .def(nb::init<std::vector<uint64_t>, bool, const std::vector<nb::bytes>&, size_t, uint32_t>(), nb::kw_only(),
           "snapshots"_a, "bottom"_a, "boundaries"_a = nb::list(), "block_bytes"_a, "bits_per_key"_a,
           "snapshots: the sequence numbers that readers may still read at, beside the newest. bottom: nothing older\n"
           "lies below the output, so deletions may go. boundaries: user keys after which a table ends well.")
      .def("add_memtable", &PyMerger::AddMemtable, "memtable"_a, "A sealed memtable as an input.")
      .def("add_run", &PyMerger::AddRun, "A run of blocks as an input; returns its number.")
      .def("feed", &PyMerger::Feed, "input"_a, "raw_block"_a, "incompressible"_a = false,
           "The next raw data block of a run. Several may be fed ahead of their use. incompressible: it was stored as "
           "it\n"
           "it is because compression did not make it smaller.")
      .def("feed_opened", &PyMerger::FeedOpened, "input"_a, "blocks"_a, "tried"_a,
           "The next blocks of a run, which are moved out of `blocks`. tried: compression was tried on those that are\n"
           "stored as they are.")
      .def("finish", &PyMerger::Finish, "input"_a, "The run has no more blocks.")
      .def("run", &PyMerger::Run, "output_bytes"_a = 256 << 10,
           "Merges, without the GIL, until output_bytes of blocks are ready or something else is to be done; returns\n"
           "one of the MERGE_ constants. Blocks may be ready whatever it returns.")
      .def_prop_ro("needed_input", &PyMerger::NeededInput, "After MERGE_NEED_INPUT: the run to feed or finish.")
      .def("take_blocks", &PyMerger::TakeBlocks, nb::sig("def take_blocks(self) -> list[tuple[bytes, bool]]"),
           "(raw data block, whether all its entries come from incompressible blocks) of each that is ready, in order.")
      .def(
          "seal", &PyMerger::Seal, "sealer"_a, "buffer"_a,
          "Seals the blocks that are ready, without the GIL. True when `buffer` was filled with the next bytes of the\n"
          "table: they are to be written, and seal to be called again.")
      .def("block_written", &PyMerger::BlockWritten, "offset"_a, "length"_a,
           "Where the next of the taken blocks is in the file: offset and length of its payload, without the trailer.")
      .def_prop_ro(
          "table_raw_bytes", [](PyMerger& merger) { return merger.Idle().builder().raw_bytes(); },
          "Raw bytes of the data blocks of the current table so far.")
      .def("request_cut", &PyMerger::RequestCut, "End the current table before the next user key, if one is open.")
      .def("request_cut_at_boundary", &PyMerger::RequestCutAtBoundary,
           "End the current table, if one is open, after the next of the boundaries, if there is one.")
      .def("finish_table", &PyMerger::FinishTable,
           "After MERGE_TABLE_END, when the table's last blocks are taken and written.")
      .def_prop_ro("entries_in", [](PyMerger& merger) { return merger.Idle().entries_in(); })
      .def_prop_ro("entries_out", [](PyMerger& merger) { return merger.Idle().entries_out(); })
      .def_prop_ro("bytes_in", [](PyMerger& merger) { return merger.Idle().bytes_in(); }, "Bytes of keys and values.");
}

}  // namespace replicad
