// The block cache: raw blocks of open tables under one budget of bytes, evicted by CLOCK. Indexes and filters are
// charged to the same budget and never evicted: each read needs them, so blocks give way. Where they alone exceed it,
// no block is kept.
//
// There is no hash table: each open table has an array of slots, one a block, and the cache keeps a ring of the filled
// ones. A hit costs an array access and sets a flag in the block.
//
// Everything here, the counts of references to blocks included, is protected by the GIL. Nothing here runs Python code.
// A block lives as long as anybody holds a BlockRef; eviction only empties its slot. Slots hold their cache alive, and
// take their blocks out of it when they die.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "table/block.h"

namespace replicad {

class BlockRef;

// A raw block in memory: this header, the restart points, then the bytes, in one allocation. Immutable apart from its
// counters.
class Block {
 public:
  // A copy that can be searched for keys with the same first skip_bytes as its own. Throws Corruption.
  static BlockRef Copy(std::string_view raw, uint32_t skip_bytes);
  const BlockView& view() const { return view_; }
  size_t memory_bytes() const { return bytes_; }
  void Touch() const { referenced_ = true; }

 private:
  friend class BlockRef;
  friend class BlockCache;
  Block() = default;

  mutable uint32_t references_ = 0;
  mutable bool referenced_ = false;  // since the clock's hand last passed
  size_t bytes_ = 0;                 // of the allocation
  BlockView view_;
};

class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(const Block* block) : block_(block) {
    if (block_) ++block_->references_;
  }
  BlockRef(const BlockRef& other) : BlockRef(other.block_) {}
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ && --block_->references_ == 0) Free(block_);
  }

  explicit operator bool() const { return block_ != nullptr; }
  const Block* operator->() const { return block_; }
  const Block& operator*() const { return *block_; }
  const Block* get() const { return block_; }

 private:
  static void Free(const Block* block);
  const Block* block_ = nullptr;
};

class BlockSlots;

class BlockCache {
 public:
  explicit BlockCache(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  size_t capacity_bytes() const { return capacity_bytes_; }
  void set_capacity_bytes(size_t bytes) {
    capacity_bytes_ = bytes;
    Shrink();
  }
  size_t used_bytes() const { return used_bytes_; }        // by blocks
  size_t charged_bytes() const { return charged_bytes_; }  // by indexes and filters
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  friend class BlockSlots;
  size_t room_bytes() const { return capacity_bytes_ > charged_bytes_ ? capacity_bytes_ - charged_bytes_ : 0; }
  struct Held {
    BlockSlots* slots = nullptr;  // null: free
    uint32_t ordinal = 0;
  };

  uint32_t Add(BlockSlots* slots, uint32_t ordinal, size_t bytes);
  void Remove(uint32_t position, size_t bytes);
  void Shrink();  // evicts until the budget holds

  std::vector<Held> ring_;
  std::vector<uint32_t> free_;  // positions in ring_
  size_t hand_ = 0;
  size_t capacity_bytes_;
  size_t used_bytes_ = 0;
  size_t charged_bytes_ = 0;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

// What a block that was not cached may do to the cache.
enum class CacheFill {
  kNever,  // it is not kept
  kRoom,   // it is kept where nothing has to go for it
  kEvict,  // others go for it
};

// The cached blocks of one table, by ordinal; none until Open says how many there are.
class BlockSlots {
 public:
  explicit BlockSlots(std::shared_ptr<BlockCache> cache) : cache_(std::move(cache)) {}
  ~BlockSlots();
  BlockSlots(const BlockSlots&) = delete;
  BlockSlots& operator=(const BlockSlots&) = delete;

  // Once. Charges the cache with `contents_bytes`, and the slots, as long as they live.
  void Open(uint32_t count, size_t contents_bytes);
  // Null when it is not cached. The pointer is good until anything is inserted in the cache.
  const Block* Find(uint32_t ordinal) {
    const Block* block = slots_[ordinal].block.get();
    if (!block) return nullptr;
    ++cache_->hits_;
    block->Touch();
    return block;
  }
  void CountMiss() { ++cache_->misses_; }
  void Prefetch(uint32_t ordinal) const { __builtin_prefetch(&slots_[ordinal]); }
  // The begin of the block, if it is cached.
  void PrefetchBlock(uint32_t ordinal) const {
    const char* block = reinterpret_cast<const char*>(slots_[ordinal].block.get());
    if (!block) return;
    for (int line = 0; line < 3; ++line) __builtin_prefetch(block + 64 * line);
  }
  // Keeps the block if `fill` and the budget allow; does nothing when the slot was filled meanwhile.
  void Insert(uint32_t ordinal, const BlockRef& block, CacheFill fill);
  size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  friend class BlockCache;
  struct Slot {
    BlockRef block;
    uint32_t position = 0;  // in the cache's ring, while there is a block
  };
  std::shared_ptr<BlockCache> cache_;
  std::vector<Slot> slots_;
  size_t charged_bytes_ = 0;
};

}  // namespace replicad
