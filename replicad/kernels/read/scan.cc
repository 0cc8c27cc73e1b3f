#include "read/scan.h"

#include "read/scan_sources.h"

namespace replicad {
namespace {

template <Direction direction>
class MergingScan : public Scan {
 public:
  using Scan::Scan;

 protected:
  // Takes a source that was positioned; one that found nothing is dropped.
  void Add(bool found, std::unique_ptr<EntrySource> source) {
    if (!found) return;
    heap_.Push(source.get());
    sources_.push_back(std::move(source));
  }

  void AdvanceTop() {
    if (heap_.top()->Advance()) {
      heap_.Settle();
    } else {
      heap_.Pop();
    }
  }

  MergeHeap<direction> heap_;
};

class ForwardScan final : public MergingScan<Direction::kForward> {
 public:
  using MergingScan::MergingScan;

  bool Next(std::string_view& key, std::string_view& value) override {
    if (started_) {
      if (heap_.empty()) return false;
      AdvanceTop();
    } else {
      Start();
    }
    for (; !heap_.empty(); AdvanceTop()) {
      const EntrySource& entry = *heap_.top();
      if (bounds_.upper && entry.key >= *bounds_.upper) break;
      if (entry.trailer > bound_) continue;                     // newer than the reader
      if (decided_ && entry.key == last_key_.view()) continue;  // a newer version was decisive
      last_key_.Assign(entry.key);
      decided_ = true;
      if (TrailerKind(entry.trailer) == EntryKind::kDelete) continue;
      key = entry.key;
      value = entry.value;
      return true;
    }
    heap_.clear();
    return false;
  }

 private:
  void Start() {
    for (const auto& memtable : view_->memtables()) {
      if (memtable->empty()) continue;
      auto source = std::make_unique<ForwardMemtableSource>(memtable.get());
      const bool found = source->Seek(bounds_, sequence_);
      Add(found, std::move(source));
    }
    for (const TableRun& run : view_->runs()) {
      auto source = std::make_unique<ForwardRunSource>(run, bounds_, blocks_);
      const bool found = source->Seek(bound_);
      Add(found, std::move(source));
    }
    started_ = true;
  }

  bool decided_ = false;
};

class ReverseScan final : public MergingScan<Direction::kReverse> {
 public:
  using MergingScan::MergingScan;

  bool Next(std::string_view& key, std::string_view& value) override {
    if (!started_) Start();
    while (!heap_.empty()) {
      const EntrySource* entry = heap_.top();
      if (bounds_.lower && entry->key < *bounds_.lower) {
        heap_.clear();
        break;
      }
      // The versions of a key come oldest first: the last one that the reader may see is decisive.
      last_key_.Assign(entry->key);
      uint64_t decisive = 0;
      do {
        if (entry->trailer <= bound_) {
          decisive = entry->trailer;
          value_ = entry->value;
          block_ = entry->block;
        }
        AdvanceTop();
        if (heap_.empty()) break;
        entry = heap_.top();
      } while (entry->key == last_key_.view());
      if (decisive == 0 || TrailerKind(decisive) == EntryKind::kDelete) continue;
      key = last_key_.view();
      value = value_;
      return true;
    }
    block_ = BlockRef();
    return false;
  }

 private:
  void Start() {
    for (const auto& memtable : view_->memtables()) {
      if (memtable->empty()) continue;
      auto source = std::make_unique<ReverseMemtableSource>(memtable.get());
      const bool found = source->Seek(bounds_);
      Add(found, std::move(source));
    }
    for (const TableRun& run : view_->runs()) {
      auto source = std::make_unique<ReverseRunSource>(run, bounds_, blocks_);
      const bool found = source->Seek();
      Add(found, std::move(source));
    }
    started_ = true;
  }

  std::string_view value_;
  BlockRef block_;  // holds value_ when a cached block does
};

}  // namespace

std::unique_ptr<Scan> Scan::Make(std::shared_ptr<const ReadView> view, ScanBounds bounds, uint64_t sequence,
                                 Direction direction, bool fill_cache) {
  if (direction == Direction::kForward) {
    return std::make_unique<ForwardScan>(std::move(view), std::move(bounds), sequence, fill_cache);
  }
  return std::make_unique<ReverseScan>(std::move(view), std::move(bounds), sequence, fill_cache);
}

}  // namespace replicad
