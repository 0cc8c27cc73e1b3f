// The index of a table: for each data block a separator and where the block is (proto/table.md).
//
//   index := block_count entry*                               block_count: u32, at least 1
//   entry := varint length, separator, u64 offset, u32 length, u32 raw_length
//
// A separator is at or after the last user key of its block and before the first user key of the next block; where
// versions of one user key span blocks it is that key. Separators never descend; blocks are in file order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace replicad {

constexpr uint32_t kBlockTrailerBytes = 5;  // type and checksum, after each block in the file

struct BlockHandle {
  uint64_t offset = 0;
  uint32_t length = 0;      // of the payload, without the trailer
  uint32_t raw_length = 0;  // decompressed
};

// The shortest prefix of `next` that divides the two keys, or `last` when that is no longer. last <= next.
std::string_view Separator(std::string_view last, std::string_view next);

class IndexBuilder {
 public:
  void Add(std::string_view separator, const BlockHandle& handle);
  std::string Finish();  // starts the next

 private:
  std::string entries_;
  uint32_t count_ = 0;
};

// An index in memory. Immutable. Searches compare eight-byte prefixes in a flat array; what all separators begin with
// is left out of them.
class TableIndex {
 public:
  explicit TableIndex(std::string_view raw);  // throws Corruption
  TableIndex(const TableIndex&) = delete;
  TableIndex& operator=(const TableIndex&) = delete;

  uint32_t block_count() const { return static_cast<uint32_t>(entries_.size()); }
  std::string_view separator(uint32_t i) const {
    return {raw_.data() + entries_[i].separator_offset, entries_[i].separator_bytes};
  }
  BlockHandle handle(uint32_t i) const;
  // The first block whose separator is not less than the key, where its newest version is if anywhere in the table;
  // block_count() when the key is beyond the table.
  uint32_t Find(std::string_view key) const;
  size_t memory_bytes() const {
    return raw_.capacity() + entries_.capacity() * sizeof(Entry) + prefixes_.capacity() * sizeof(uint64_t);
  }

 private:
  struct Entry {
    uint32_t separator_offset;
    uint32_t separator_bytes;
  };
  std::string raw_;
  std::vector<Entry> entries_;
  std::vector<uint64_t> prefixes_;
  std::string_view common_;  // what all separators begin with; points into raw_
};

}  // namespace replicad
