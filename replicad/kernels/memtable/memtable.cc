#include "memtable/memtable.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/bytes.h"

namespace replicad {
namespace {

constexpr int kFanout = 64;
constexpr int kInnerLevelsMax = 16;  // 32^16 leaves
constexpr size_t kCacheLineBytes = 64;
constexpr uint32_t kSkipStepBytes = 4;  // less gain than this is not worth computing a node's slots again

using Record = Memtable::Record;

// Eight bytes of the key from `skip` on, the first most significant, padded with zeros: two slots that differ are
// ordered as their keys are.
inline uint64_t SlotOf(std::string_view key, size_t skip) {
  const char* at = key.data() + skip;
  const size_t size = key.size() - skip;
  if (size >= 8) return __builtin_bswap64(LoadU64(at));
  uint64_t slot = 0;
  if (size > 0) std::memcpy(&slot, at, size);
  return __builtin_bswap64(slot);
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  const auto end = a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

}  // namespace

struct Memtable::Target {
  std::string_view key;
  uint64_t trailer;
};

// Every entry below a node lies in [low, high); null stands for no bound. Slots begin after `skip` bytes, a prefix that
// all keys of the node share, so keys with a long common prefix stay cheap to compare. Between two bounds every key, a
// searched one too, has the bounds' common prefix. A node without one of them (at the tree's edge) has only that of its
// own records: a searched key is compared with that prefix first, and a record without it makes `skip` less.
struct Memtable::Node {
  const Record* low = nullptr;
  const Record* high = nullptr;
  uint32_t skip = 0;
  int count = 0;
  uint64_t slots[kFanout];
  const Record* records[kFanout];

  // How many records sort before `target`; with `Inclusive`, or are equal to it.
  template <bool Inclusive>
  int Rank(const Target& target) const {
    if (AtEdge() && skip > 0) {
      const int order = target.key.substr(0, skip).compare(records[0]->key().substr(0, skip));
      if (order != 0) return order < 0 ? 0 : count;
    }
    const uint64_t slot = SlotOf(target.key, skip);
    const uint64_t* first = slots;
    for (int left = count; left > 0;) {  // branchless: what is compared with is random to the predictor
      const int half = (left + 1) / 2;
      first += first[half - 1] < slot ? half : 0;
      left -= half;
    }
    int low_rank = static_cast<int>(first - slots);
    int equal = 0;
    while (low_rank + equal < count && slots[low_rank + equal] == slot) ++equal;
    while (equal > 0) {
      const int half = equal / 2;
      if (SortsBefore<Inclusive>(*records[low_rank + half], target)) {
        low_rank += half + 1;
        equal -= half + 1;
      } else {
        equal = half;
      }
    }
    return low_rank;
  }

  template <bool Inclusive>
  bool SortsBefore(const Record& record, const Target& target) const {
    const int order = record.key().substr(skip).compare(target.key.substr(skip));
    if (order != 0) return order < 0;
    return Inclusive ? record.trailer >= target.trailer : record.trailer > target.trailer;
  }

  void InsertAt(int index, const Record* record) {
    std::copy_backward(slots + index, slots + count, slots + count + 1);
    std::copy_backward(records + index, records + count, records + count + 1);
    records[index] = record;
    ++count;
    if (AtEdge()) {
      const auto common = static_cast<uint32_t>(CommonPrefix(records[0]->key(), records[count - 1]->key()));
      const bool look_for_more = std::has_single_bit(static_cast<unsigned>(count));
      if (common < skip || (look_for_more && common >= skip + kSkipStepBytes)) return Skip(common);
    }
    slots[index] = SlotOf(record->key(), skip);
  }

  // Moves the entries from `from` on into the empty node `right`, whose low fence is `separator`.
  void MoveTail(int from, Node* right, const Record* separator) {
    right->skip = skip;
    right->low = separator;
    right->high = high;
    right->count = count - from;
    std::copy(slots + from, slots + count, right->slots);
    std::copy(records + from, records + count, right->records);
  }

  void CutAt(int new_count, const Record* separator) {
    count = new_count;
    high = separator;
  }

  // After a split: a longer common prefix makes better slots, and a node that left the edge may have to skip less.
  void Refit() {
    if (count == 0) return;
    const auto [first, last] = AtEdge() ? std::pair(records[0], records[count - 1]) : std::pair(low, high);
    const auto common = static_cast<uint32_t>(CommonPrefix(first->key(), last->key()));
    if (common < skip || common >= skip + kSkipStepBytes) Skip(common);
  }

  // What Rank searches.
  void PrefetchSlots() const {
    const auto* at = reinterpret_cast<const char*>(this);
    for (size_t offset = 0; offset < offsetof(Node, records); offset += kCacheLineBytes)
      __builtin_prefetch(at + offset);
  }

  bool AtEdge() const { return low == nullptr || high == nullptr; }

  void Skip(uint32_t bytes) {
    skip = bytes;
    for (int i = 0; i < count; ++i) slots[i] = SlotOf(records[i]->key(), skip);
  }
};

struct Memtable::Leaf : Node {
  Leaf* previous = nullptr;
  Leaf* next = nullptr;
};

// `records` are separators: records[i] is the low fence of children[i + 1].
struct Memtable::Inner : Node {
  Node* children[kFanout + 1];
};

struct Memtable::Step {
  Inner* inner;
  int child;
};

Memtable::Memtable()
    : first_leaf_(new (arena_.Allocate(sizeof(Leaf))) Leaf), last_leaf_(first_leaf_), root_(first_leaf_) {}

void Memtable::Add(std::string_view key, uint64_t trailer, std::string_view value) {
  if (sealed_) [[unlikely]]
    throw std::logic_error("a sealed memtable takes no more entries");
  auto* record = new (arena_.Allocate(sizeof(Record) + key.size() + value.size()))
      Record{trailer, static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())};
  PutBytes(PutBytes(reinterpret_cast<char*>(record + 1), key), value);
  Insert(record);
  ++entries_;
  data_bytes_ += key.size() + value.size();
  first_sequence_ = std::min(first_sequence_, TrailerSequence(trailer));
  last_sequence_ = std::max(last_sequence_, TrailerSequence(trailer));
}

void Memtable::Prefetch(std::string_view key) const {
  const auto* leaf = reinterpret_cast<const char*>(FindLeaf({key, 0}));
  for (size_t offset = 0; offset < sizeof(Leaf); offset += kCacheLineBytes) __builtin_prefetch(leaf + offset, 1);
}

void Memtable::Insert(const Record* record) {
  const Target target{record->key(), record->trailer};
  Step path[kInnerLevelsMax];
  Node* node = root_;
  for (int level = 0; level < inner_levels_; ++level) {
    auto* inner = static_cast<Inner*>(node);
    const int child = inner->Rank<true>(target);
    path[level] = {inner, child};
    node = inner->children[child];
  }
  auto* leaf = static_cast<Leaf*>(node);
  int index = leaf->Rank<false>(target);
  if (leaf->count < kFanout) {
    leaf->InsertAt(index, record);
    return;
  }
  // Keys that come in ascending order fill their leaves: the last leaf is left full and not halved.
  const bool append = leaf == last_leaf_ && index == kFanout;
  const int keep = append ? kFanout : kFanout / 2;
  const Record* separator = append ? record : leaf->records[keep];
  Leaf* right = new (arena_.Allocate(sizeof(Leaf))) Leaf;
  leaf->MoveTail(keep, right, separator);
  leaf->CutAt(keep, separator);
  right->previous = leaf;
  right->next = leaf->next;
  (leaf->next != nullptr ? leaf->next->previous : last_leaf_) = right;
  leaf->next = right;
  leaf->Refit();
  right->Refit();
  if (index > keep || append) {
    right->InsertAt(index - keep, record);
  } else {
    leaf->InsertAt(index, record);
  }
  InsertSeparator(path, inner_levels_, separator, right);
}

void Memtable::InsertSeparator(const Step* path, int depth, const Record* separator, Node* right) {
  while (depth > 0) {
    auto [inner, child] = path[--depth];
    Inner* target = inner;
    const Record* upper = nullptr;
    Inner* upper_right = nullptr;
    if (inner->count == kFanout) {
      upper = inner->records[kFanout / 2];
      upper_right = SplitInner(inner);
      if (child > kFanout / 2) {
        target = upper_right;
        child -= kFanout / 2 + 1;
      }
    }
    std::copy_backward(target->children + child + 1, target->children + target->count + 1,
                       target->children + target->count + 2);
    target->children[child + 1] = right;
    target->InsertAt(child, separator);
    if (upper_right == nullptr) return;
    separator = upper;
    right = upper_right;
  }
  GrowRoot(separator, right);
}

// The middle separator moves up; the caller has it.
Memtable::Inner* Memtable::SplitInner(Inner* inner) {
  constexpr int kMiddle = kFanout / 2;
  const Record* separator = inner->records[kMiddle];
  Inner* right = new (arena_.Allocate(sizeof(Inner))) Inner;
  inner->MoveTail(kMiddle + 1, right, separator);
  std::copy(inner->children + kMiddle + 1, inner->children + kFanout + 1, right->children);
  inner->CutAt(kMiddle, separator);
  inner->Refit();
  right->Refit();
  return right;
}

void Memtable::GrowRoot(const Record* separator, Node* right) {
  Inner* root = new (arena_.Allocate(sizeof(Inner))) Inner;
  root->children[0] = root_;
  root->children[1] = right;
  root->InsertAt(0, separator);
  root_ = root;
  ++inner_levels_;
  assert(inner_levels_ <= kInnerLevelsMax);
}

const Memtable::Leaf* Memtable::FindLeaf(const Target& target) const {
  const Node* node = root_;
  for (int level = 0; level < inner_levels_; ++level) {
    const auto* inner = static_cast<const Inner*>(node);
    node = inner->children[inner->Rank<true>(target)];
  }
  return static_cast<const Leaf*>(node);
}

const Memtable::Record* Memtable::Get(std::string_view key, uint64_t sequence) const {
  const Target target{key, SeekTrailer(sequence)};
  const Leaf* leaf = FindLeaf(target);
  int index = leaf->Rank<false>(target);
  if (index == leaf->count) {
    leaf = leaf->next;
    index = 0;
    if (leaf == nullptr) return nullptr;
  }
  const Record* record = leaf->records[index];
  return record->key() == key ? record : nullptr;
}

void Memtable::GetTogether(std::span<const std::string_view> keys, uint64_t sequence, const Record** records) const {
  const uint64_t trailer = SeekTrailer(sequence);
  const Node* nodes[kTogetherMax];
  std::fill_n(nodes, keys.size(), root_);
  for (int level = 0; level < inner_levels_; ++level) {
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto* inner = static_cast<const Inner*>(nodes[i]);
      nodes[i] = inner->children[inner->Rank<true>({keys[i], trailer})];
      nodes[i]->PrefetchSlots();
    }
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto* leaf = static_cast<const Leaf*>(nodes[i]);
    int index = leaf->Rank<false>({keys[i], trailer});
    if (index == leaf->count) {
      leaf = leaf->next;
      index = 0;
    }
    records[i] = leaf == nullptr ? nullptr : leaf->records[index];
    if (records[i] != nullptr) __builtin_prefetch(records[i]);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (records[i] != nullptr && records[i]->key() != keys[i]) records[i] = nullptr;
  }
}

std::shared_ptr<Memtable> Memtable::WithoutAfter(uint64_t sequence) const {
  auto copy = std::make_shared<Memtable>();
  for (const Leaf* leaf = first_leaf_; leaf != nullptr; leaf = leaf->next) {
    for (int i = 0; i < leaf->count; ++i) {
      const Record& record = *leaf->records[i];
      if (TrailerSequence(record.trailer) <= sequence) copy->Add(record.key(), record.trailer, record.value());
    }
  }
  return copy;
}

void MemtableIterator::SeekToFirst() {
  modifications_ = memtable_->modifications();
  leaf_ = memtable_->first_leaf_;
  index_ = 0;
  Take();
}

void MemtableIterator::SeekToLast() {
  modifications_ = memtable_->modifications();
  leaf_ = memtable_->last_leaf_;
  index_ = leaf_->count - 1;
  record_ = index_ < 0 ? nullptr : leaf_->records[index_];
}

void MemtableIterator::SeekTrailerOf(std::string_view user_key, uint64_t trailer) {
  const Memtable::Target target{user_key, trailer};
  modifications_ = memtable_->modifications();
  leaf_ = memtable_->FindLeaf(target);
  index_ = leaf_->Rank<false>(target);
  Take();
}

void MemtableIterator::Next() {
  Locate();
  ++index_;
  Take();
}

void MemtableIterator::Prev() {
  Locate();
  if (index_ > 0) {
    record_ = leaf_->records[--index_];
    return;
  }
  leaf_ = leaf_->previous;
  if (leaf_ == nullptr) {
    record_ = nullptr;
    return;
  }
  index_ = leaf_->count - 1;
  record_ = leaf_->records[index_];
}

void MemtableIterator::Locate() {
  if (modifications_ == memtable_->modifications()) return;
  SeekTrailerOf(record_->key(), record_->trailer);
}

void MemtableIterator::Take() {
  if (index_ == leaf_->count) {
    leaf_ = leaf_->next;
    index_ = 0;
  }
  record_ = leaf_ == nullptr || leaf_->count == 0 ? nullptr : leaf_->records[index_];
}

}  // namespace replicad
