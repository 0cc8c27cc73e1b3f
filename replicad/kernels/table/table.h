// One open table in memory: its index and filter once something needs them, its slots in the block cache, and where
// all of that comes from.
//
// Protected by the GIL. Reading a block that is not cached, or index and filter for the first time, calls the table's
// BlockSource, which may run any Python code of any thread before it returns: inserts into memtables, evictions, even
// the release of the last Python reference to this table. So every reader holds the table by shared_ptr, and a block
// by BlockRef, across a read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/internal_key.h"
#include "table/block_cache.h"
#include "table/bloom.h"
#include "table/index.h"

namespace replicad {

// What a table holds beside its data blocks. Immutable.
struct TableContents {
  // Throws Corruption when index or filter are not what a builder writes.
  TableContents(std::string_view raw_index, std::string_view raw_filter) : index(raw_index), filter(raw_filter) {}
  size_t memory_bytes() const { return index.memory_bytes() + filter.memory_bytes(); }

  const TableIndex index;
  const Filter filter;
};

// Where a table comes from: read, verified and decompressed. Both may run Python and may throw anything.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  // Never null.
  virtual std::shared_ptr<const TableContents> Load() = 0;
  // skip_bytes: for Block::Copy.
  virtual BlockRef Fetch(const BlockHandle& handle, uint32_t skip_bytes) = 0;
};

// A key to look up: with its hash, and as a reader at `sequence` sees it.
struct LookupKey {
  LookupKey(std::string_view key, uint64_t sequence)
      : key(key), hash(FilterHash(key)), bound(SeekTrailer(sequence)), sequence(sequence) {}
  std::string_view key;
  uint64_t hash;
  uint64_t bound;
  uint64_t sequence;
};

// The newest visible version of a key, a deletion included. The value is good while the memtable lives that it came
// from, or while `block` is held; when `block` is null, a cached block may hold it until the cache changes.
struct LookupResult {
  uint64_t trailer = 0;  // 0: nothing was found
  std::string_view value;
  BlockRef block;

  bool found() const { return trailer != 0; }
  bool present() const { return found() && TrailerKind(trailer) == EntryKind::kPut; }
};

class Table {
 public:
  // Reads nothing yet: the first use of index or filter does.
  Table(uint64_t number, std::string smallest, std::string largest, std::shared_ptr<BlockCache> cache,
        std::unique_ptr<BlockSource> source);

  uint64_t number() const { return number_; }
  const std::string& smallest() const { return smallest_; }
  const std::string& largest() const { return largest_; }
  const TableIndex& index() { return contents().index; }
  BlockSource& source() { return *source_; }
  // What index, filter and slots take, if they are here.
  size_t memory_bytes() const { return contents_ ? contents_->memory_bytes() + slots_.memory_bytes() : 0; }
  // Index and filter, read now if nothing has needed them before.
  const TableContents& contents() {
    if (!contents_) [[unlikely]]
      LoadContents();
    return *contents_;
  }

  bool Covers(std::string_view key) const { return key >= smallest_ && key <= largest_; }
  // Requires Covers(key.key).
  LookupResult Get(const LookupKey& key);
  // From the cache, or from the source and then, as `fill` says, into the cache. May be searched for keys that the
  // table covers.
  BlockRef ReadBlock(uint32_t ordinal, CacheFill fill);

  // The steps of Get for many keys at once: each step starts to fetch into the CPU's cache what the next one needs.
  void PrefetchFilter(const LookupKey& key) { contents().filter.Prefetch(key.hash); }
  // The block that may hold the key, or block_count(). Requires Covers(key.key).
  uint32_t Locate(const LookupKey& key);
  void PrefetchBlock(uint32_t ordinal) const { slots_.PrefetchBlock(ordinal); }
  BlockRef CachedBlock(uint32_t ordinal) { return BlockRef(slots_.Find(ordinal)); }  // null when it is not cached

 private:
  void LoadContents();
  BlockRef LoadBlock(uint32_t ordinal, CacheFill fill);

  const uint64_t number_;
  const std::string smallest_;
  const std::string largest_;
  const uint32_t shared_bytes_;  // of smallest and largest, so of all keys between them
  std::shared_ptr<const TableContents> contents_;
  BlockSlots slots_;  // one a block, once contents_ is there
  const std::unique_ptr<BlockSource> source_;
};

}  // namespace replicad
