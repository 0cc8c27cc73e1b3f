#include "merge/merger.h"

#include <algorithm>
#include <cassert>

#include "base/errors.h"

namespace replicad {

class Merger::MemtableSource final : public EntrySource {
 public:
  explicit MemtableSource(std::shared_ptr<const Memtable> memtable)
      : memtable_(std::move(memtable)), entry_(memtable_.get()) {
    entry_.SeekToFirst();
  }
  bool Take() {
    if (!entry_.Valid()) return false;
    key = entry_.key();
    trailer = entry_.trailer();
    value = entry_.value();
    return true;
  }
  bool Advance() override {
    entry_.Next();
    return Take();
  }

 private:
  const std::shared_ptr<const Memtable> memtable_;
  MemtableIterator entry_;
};

class Merger::RunSource final : public EntrySource {
 public:
  explicit RunSource(uint32_t number) : number(number) {}

  bool Advance() override {
    if (!reader_.Next()) return false;
    Take();
    return true;
  }
  // At the first entry of the next block; false when there is none.
  bool OpenNext() {
    if (blocks.empty()) return false;
    current_ = std::move(blocks.front().raw);
    incompressible = blocks.front().incompressible;
    blocks.pop_front();
    reader_.Open(BlockView::Parse(current_));
    Take();
    return true;
  }

  const uint32_t number;
  std::deque<BuiltBlock> blocks;
  bool finished = false;  // no more are fed

 private:
  void Take() {
    key = reader_.key();
    trailer = reader_.trailer();
    value = reader_.value();
  }
  std::string current_;
  BlockReader reader_;
};

Merger::Merger(MergerOptions options)
    : options_(std::move(options)), builder_(options_.block_bytes, options_.bits_per_key) {}

Merger::~Merger() = default;

void Merger::AddMemtable(std::shared_ptr<const Memtable> memtable) {
  memtables_.push_back(std::make_unique<MemtableSource>(std::move(memtable)));
  if (memtables_.back()->Take()) heap_.Push(memtables_.back().get());
}

uint32_t Merger::AddRun() {
  runs_.push_back(std::make_unique<RunSource>(run_count()));
  waiting_.push_back(runs_.back().get());
  return runs_.back()->number;
}

void Merger::Feed(uint32_t run, std::string raw_block, bool incompressible) {
  runs_[run]->blocks.push_back({std::move(raw_block), incompressible});
}

void Merger::Finish(uint32_t run) { runs_[run]->finished = true; }

bool Merger::fed_to_the_end(uint32_t run) const { return runs_[run]->finished; }

MergeStatus Merger::Run(size_t output_bytes) {
  assert(!table_ended_);
  for (;;) {
    if (!waiting_.empty() && !TakeWaiting()) return MergeStatus::kNeedInput;
    if (heap_.empty()) {
      if (builder_.empty()) return MergeStatus::kDone;
      builder_.EndBlock();
      table_ended_ = true;
      return MergeStatus::kTableEnd;
    }
    const EntrySource& entry = *heap_.top();
    const int order = begun_ ? entry.key.compare(key_.view()) : 1;
    if (order < 0 || (order == 0 && entry.trailer > trailer_)) {
      throw Corruption("the entries of an input of the merge are out of order", 0);
    }
    if (order > 0) {
      if (cut_requested_ || (cut_after_ && entry.key > *cut_after_)) {
        builder_.EndBlock();
        table_ended_ = true;
        return MergeStatus::kTableEnd;
      }
      begun_ = true;
      key_.Assign(entry.key);
      trailer_ = UINT64_MAX;
    }
    if (Keeps(entry.trailer)) {
      builder_.Add(entry.key, entry.trailer, entry.value, entry.incompressible);
      ++entries_out_;
    }
    trailer_ = entry.trailer;
    ++entries_in_;
    bytes_in_ += entry.key.size() + entry.value.size();
    AdvanceTop();
    if (builder_.ready_bytes() >= output_bytes) return MergeStatus::kBlocks;
  }
}

bool Merger::TakeWaiting() {
  while (!waiting_.empty()) {
    RunSource* run = waiting_.back();
    if (run->OpenNext()) {
      heap_.Push(run);
    } else if (!run->finished) {
      needed_input_ = run->number;
      return false;
    }
    waiting_.pop_back();
  }
  return true;
}

// Whether the version with this trailer stays. The version before it, newer by one, is trailer_ (UINT64_MAX: none).
bool Merger::Keeps(uint64_t trailer) const {
  const uint64_t sequence = TrailerSequence(trailer);
  const auto& snapshots = options_.snapshots;
  if (trailer_ != UINT64_MAX) {
    // Seen only by snapshots from this version up to the newer one.
    const auto seer = std::lower_bound(snapshots.begin(), snapshots.end(), sequence);
    if (seer == snapshots.end() || *seer >= TrailerSequence(trailer_)) return false;
  }
  if (options_.bottom && TrailerKind(trailer) == EntryKind::kDelete) {
    // It may go when it hides nothing that stays: no snapshot is older.
    return !snapshots.empty() && snapshots.front() < sequence;
  }
  return true;
}

void Merger::AdvanceTop() {
  EntrySource* source = heap_.top();
  if (source->Advance()) {
    heap_.Settle();
    return;
  }
  heap_.Pop();
  // A memtable has ended; a run may go on with another block.
  if (auto* run = dynamic_cast<RunSource*>(source)) waiting_.push_back(run);
}

void Merger::RequestCutAtBoundary() {
  if (builder_.empty()) return;
  const auto& boundaries = options_.boundaries;
  const auto next = std::lower_bound(boundaries.begin(), boundaries.end(), key_.view());
  cut_after_ = next == boundaries.end() ? nullptr : &*next;
}

TableSummary Merger::FinishTable() {
  table_ended_ = false;
  cut_requested_ = false;
  cut_after_ = nullptr;
  return builder_.Finish();
}

}  // namespace replicad
