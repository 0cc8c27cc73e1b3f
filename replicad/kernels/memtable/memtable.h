// Memtable: the newest entries of one column family, ordered, every version kept until its snapshot readers are gone.
//
// Order: user key ascending (bytewise), then sequence number descending, so that the first entry at or after
// (key, sequence) is the version that a reader at `sequence` sees.
//
// Structure: a B+tree whose leaves hold up to 64 entries. A slot is eight bytes of the key beside a pointer to the
// record in an arena, so most comparisons touch the slots only. Records are immutable and never move: views of keys and
// values stay good while the memtable lives.
//
// What protects readers beside the writer: the interpreter's lock. Every call on a memtable that is not sealed, and on
// an iterator over it, is made with the GIL held. A sealed memtable is immutable and may be read by any thread.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/arena.h"
#include "base/internal_key.h"

namespace replicad {

class Memtable {
 public:
  struct Record {
    uint64_t trailer;
    uint32_t key_size;
    uint32_t value_size;

    std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
    std::string_view value() const { return {reinterpret_cast<const char*>(this + 1) + key_size, value_size}; }
  };

  Memtable();
  Memtable(const Memtable&) = delete;
  Memtable& operator=(const Memtable&) = delete;

  // Copies key and value. (key, trailer) must not be there yet; the memtable must not be sealed.
  void Add(std::string_view key, uint64_t trailer, std::string_view value);

  // Asks for the memory that an Add of `key` will search, so that it comes while something else is done. A hint: adds
  // in between do no harm.
  void Prefetch(std::string_view key) const;

  // The newest version of `key` at or below `sequence`, a deletion included; null when there is none.
  const Record* Get(std::string_view key, uint64_t sequence) const;

  // The same for several keys, kTogetherMax at most: records[i] is that of keys[i]. Their ways through the tree are
  // gone side by side, so that the memory that one waits for comes while the others are worked on.
  static constexpr size_t kTogetherMax = 32;
  void GetTogether(std::span<const std::string_view> keys, uint64_t sequence, const Record** records) const;

  // A copy with only the entries at or below `sequence`.
  std::shared_ptr<Memtable> WithoutAfter(uint64_t sequence) const;

  void Seal() { sealed_ = true; }
  bool sealed() const { return sealed_; }

  bool empty() const { return entries_ == 0; }
  uint64_t entries() const { return entries_; }
  uint64_t data_bytes() const { return data_bytes_; }                            // keys and values
  size_t memory_bytes() const { return sizeof(*this) + arena_.memory_bytes(); }  // all that is held from the system
  uint64_t first_sequence() const { return entries_ ? first_sequence_ : 0; }
  uint64_t last_sequence() const { return last_sequence_; }  // 0 when empty
  uint64_t modifications() const { return entries_; }        // grows with every Add

 private:
  friend class MemtableIterator;
  struct Node;
  struct Leaf;
  struct Inner;
  struct Target;
  struct Step;

  const Leaf* FindLeaf(const Target& target) const;
  void Insert(const Record* record);
  void InsertSeparator(const Step* path, int depth, const Record* separator, Node* right);
  Inner* SplitInner(Inner* inner);
  void GrowRoot(const Record* separator, Node* right);

  Arena arena_;
  Leaf* first_leaf_;
  Leaf* last_leaf_;
  Node* root_;
  int inner_levels_ = 0;
  bool sealed_ = false;
  uint64_t entries_ = 0;
  uint64_t data_bytes_ = 0;
  uint64_t first_sequence_ = UINT64_MAX;
  uint64_t last_sequence_ = 0;
};

// Walks a memtable in order. It survives inserts between its calls: it then finds its record again, and sees new
// entries that sort after (Next) or before (Prev) it. The memtable must outlive it.
class MemtableIterator {
 public:
  explicit MemtableIterator(const Memtable* memtable) : memtable_(memtable) {}

  bool Valid() const { return record_ != nullptr; }
  void SeekToFirst();
  void SeekToLast();
  // To the first entry at or after (user_key, sequence), in the memtable's order.
  void Seek(std::string_view user_key, uint64_t sequence) { SeekTrailerOf(user_key, SeekTrailer(sequence)); }

  // These require Valid(). The views live as long as the memtable.
  void Next();
  void Prev();
  std::string_view key() const { return record_->key(); }
  uint64_t trailer() const { return record_->trailer; }
  std::string_view value() const { return record_->value(); }

 private:
  void SeekTrailerOf(std::string_view user_key, uint64_t trailer);
  void Locate();  // after inserts: leaf_ and index_ of record_ again
  void Take();    // record_ from leaf_ and index_, going on to the next leaf at the end of this one

  const Memtable* memtable_;
  const Memtable::Leaf* leaf_ = nullptr;
  int index_ = 0;
  uint64_t modifications_ = 0;
  const Memtable::Record* record_ = nullptr;
};

}  // namespace replicad
