// Sources of ordered entries and the heap that merges them: for scans and for compaction.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "table/block_cache.h"

namespace replicad {

// One sorted input of a merge, at its current entry. Its owner keeps alive what the views point into.
struct EntrySource {
  virtual ~EntrySource() = default;
  // To the next entry in the direction of the merge; false at the end. key is valid until then, value until then too
  // unless `block` is kept.
  virtual bool Advance() = 0;

  std::string_view key;
  uint64_t trailer = 0;
  std::string_view value;
  BlockRef block;               // holds the bytes of value, if a cached block does
  bool incompressible = false;  // in a merge: compression did not make the entry's block smaller
};

enum class Direction { kForward, kReverse };

// A binary heap of sources; the top is the one whose entry comes first: by user key, and for equal keys the newer
// first. In reverse everything is the other way round.
template <Direction direction>
class MergeHeap {
 public:
  bool empty() const { return heap_.empty(); }
  EntrySource* top() const { return heap_.front(); }
  void clear() { heap_.clear(); }

  void Push(EntrySource* source) {
    heap_.push_back(source);
    size_t at = heap_.size() - 1;
    while (at > 0) {
      const size_t parent = (at - 1) / 2;
      if (!Before(*source, *heap_[parent])) break;
      heap_[at] = heap_[parent];
      at = parent;
    }
    heap_[at] = source;
  }

  // The top's entry has changed.
  void Settle() {
    const size_t size = heap_.size();
    if (size == 1) return;
    EntrySource* source = heap_.front();
    size_t at = 0;
    for (;;) {
      size_t child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && Before(*heap_[child + 1], *heap_[child])) ++child;
      if (!Before(*heap_[child], *source)) break;
      heap_[at] = heap_[child];
      at = child;
    }
    heap_[at] = source;
  }

  void Pop() {
    heap_.front() = heap_.back();
    heap_.pop_back();
    if (!heap_.empty()) Settle();
  }

 private:
  static bool Before(const EntrySource& a, const EntrySource& b) {
    const int order = a.key.compare(b.key);
    if constexpr (direction == Direction::kForward) {
      return order < 0 || (order == 0 && a.trailer > b.trailer);
    } else {
      return order > 0 || (order == 0 && a.trailer < b.trailer);
    }
  }

  std::vector<EntrySource*> heap_;
};

}  // namespace replicad
