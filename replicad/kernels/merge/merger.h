// The merger: sorted inputs in, the blocks of new tables out; flush and compaction are this.
//
// Inputs are sealed memtables and runs; a run is fed raw data blocks in key order (the blocks of one table, or of
// several that do not overlap, one after the other). Output goes to a TableBuilder, one table after another.
//
// Of each user key these versions stay: the newest, and for each snapshot the newest that it sees. At the bottom, where
// nothing older can lie below the output, a deletion that no snapshot looks behind goes too. An entry that is there
// twice is written once.
//
// Not thread-safe; one call at a time, of any thread, with or without the GIL: nothing in it is shared or mutable
// elsewhere. After an exception the merger is of no use any more.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/keys.h"
#include "memtable/memtable.h"
#include "merge/merge_heap.h"
#include "table/table_builder.h"

namespace replicad {

struct MergerOptions {
  std::vector<uint64_t> snapshots;  // ascending
  bool bottom = false;
  std::vector<std::string> boundaries;  // good places to end a table: after these user keys, sorted
  size_t block_bytes = 16 << 10;
  uint32_t bits_per_key = 10;
};

enum class MergeStatus {
  kNeedInput = 1,  // run needed_input() has neither a block left nor its end
  kBlocks = 2,     // enough blocks to take
  kTableEnd = 3,   // the table is complete but for its last blocks: take and write them, then FinishTable
  kDone = 4,       // no input is left and no table open
};

class Merger {
 public:
  explicit Merger(MergerOptions options);
  ~Merger();

  // Inputs are added before the first Run. The memtable must be sealed.
  void AddMemtable(std::shared_ptr<const Memtable> memtable);
  uint32_t AddRun();  // its number, counted from 0

  // incompressible: the block was stored as it is because compression did not make it smaller.
  void Feed(uint32_t run, std::string raw_block, bool incompressible = false);
  void Finish(uint32_t run);
  bool fed_to_the_end(uint32_t run) const;
  uint32_t run_count() const { return static_cast<uint32_t>(runs_.size()); }

  // Works until there are output_bytes of blocks, or something is needed or done. Throws Corruption.
  MergeStatus Run(size_t output_bytes);
  bool table_ended() const { return table_ended_; }
  uint32_t needed_input() const { return needed_input_; }

  // The current table ends before the next user key; nothing happens if none is open.
  void RequestCut() { cut_requested_ = !builder_.empty(); }
  // The current table ends at the next boundary, if there is one before another request.
  void RequestCutAtBoundary();
  TableBuilder& builder() { return builder_; }
  TableSummary FinishTable();

  uint64_t entries_in() const { return entries_in_; }
  uint64_t entries_out() const { return entries_out_; }
  uint64_t bytes_in() const { return bytes_in_; }  // keys and values

 private:
  class MemtableSource;
  class RunSource;

  bool TakeWaiting();  // false when a waiting run has nothing
  bool Keeps(uint64_t trailer) const;
  void AdvanceTop();

  const MergerOptions options_;
  std::vector<std::unique_ptr<MemtableSource>> memtables_;
  std::vector<std::unique_ptr<RunSource>> runs_;
  std::vector<RunSource*> waiting_;  // not in the heap: their next entry is not known
  MergeHeap<Direction::kForward> heap_;
  TableBuilder builder_;

  // The last entry that was decided.
  bool begun_ = false;
  KeyBuffer key_;
  uint64_t trailer_ = 0;

  bool cut_requested_ = false;
  const std::string* cut_after_ = nullptr;  // one of the boundaries
  bool table_ended_ = false;
  uint32_t needed_input_ = 0;
  uint64_t entries_in_ = 0;
  uint64_t entries_out_ = 0;
  uint64_t bytes_in_ = 0;
};

}  // namespace replicad
