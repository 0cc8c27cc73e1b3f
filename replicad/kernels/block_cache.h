// The block cache: raw blocks of open tables under one budget of bytes, evicted by CLOCK.
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

#include "block.h"

namespace replicad {

class BlockRef;

// A raw block in memory: this header, then the bytes, in one allocation. Immutable apart from its counters.
class Block {
 public:
  static BlockRef Copy(std::string_view raw);  // throws Corruption
  const BlockView& view() const { return view_; }
  size_t memory_bytes() const { return sizeof(Block) + raw_bytes_; }
  void Touch() const { referenced_ = true; }

 private:
  friend class BlockRef;
  friend class BlockCache;
  Block() = default;

  mutable uint32_t references_ = 0;
  mutable bool referenced_ = false;  // since the clock's hand last passed
  uint32_t raw_bytes_ = 0;
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
  size_t used_bytes() const { return used_bytes_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  friend class BlockSlots;
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
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

// The cached blocks of one table, by ordinal.
class BlockSlots {
 public:
  BlockSlots(std::shared_ptr<BlockCache> cache, uint32_t count) : cache_(std::move(cache)), slots_(count) {}
  ~BlockSlots();
  BlockSlots(const BlockSlots&) = delete;
  BlockSlots& operator=(const BlockSlots&) = delete;

  // Null on a miss; counts it either way. The pointer is good until anything is inserted in the cache.
  const Block* Find(uint32_t ordinal) {
    const Block* block = slots_[ordinal].block.get();
    if (!block) {
      ++cache_->misses_;
      return nullptr;
    }
    ++cache_->hits_;
    block->Touch();
    return block;
  }
  void Prefetch(uint32_t ordinal) const { __builtin_prefetch(&slots_[ordinal]); }
  // Keeps the block if the budget allows; does nothing when the slot was filled meanwhile.
  void Insert(uint32_t ordinal, const BlockRef& block);
  size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot); }

 private:
  friend class BlockCache;
  struct Slot {
    BlockRef block;
    uint32_t position = 0;  // in the cache's ring, while there is a block
  };
  std::shared_ptr<BlockCache> cache_;
  std::vector<Slot> slots_;
};

}  // namespace replicad
