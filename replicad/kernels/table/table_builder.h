// Builds tables out of entries in order: data blocks as they fill, then filter, index and a summary. No I/O: the caller
// takes the blocks, writes them and says where they went.
//
// Not thread-safe; one owner at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "table/block.h"
#include "table/index.h"

namespace replicad {

struct TableSummary {
  std::string filter;    // raw
  std::string index;     // raw
  std::string smallest;  // user keys
  std::string largest;
  uint64_t first_sequence = 0;  // least and greatest of the entries
  uint64_t last_sequence = 0;
  uint64_t entries = 0;
  uint64_t deletions = 0;
  uint64_t raw_key_bytes = 0;  // user keys
  uint64_t raw_value_bytes = 0;
};

// A finished data block.
struct BuiltBlock {
  std::string raw;
  bool incompressible = false;  // all its entries come from blocks that compression did not make smaller
};

class TableBuilder {
 public:
  TableBuilder(size_t block_bytes, uint32_t bits_per_key) : block_bytes_(block_bytes), bits_per_key_(bits_per_key) {}

  // Entries come in order. A block ends with the entry that makes it block_bytes long or longer.
  void Add(std::string_view key, uint64_t trailer, std::string_view value, bool incompressible = false);
  void EndBlock();  // what was added so far becomes a block; nothing if that is none

  bool empty() const { return summary_.entries == 0; }
  std::string_view last_key() const { return last_key_; }
  uint64_t raw_bytes() const { return raw_bytes_ + (block_.empty() ? 0 : block_.bytes()); }  // data blocks so far

  size_t ready_bytes() const { return ready_bytes_; }
  std::vector<BuiltBlock> TakeBlocks();  // the finished ones, in order, since the last call
  // Once for each block that was taken, in order. False when there is no such block.
  bool BlockWritten(uint64_t offset, uint32_t length);
  bool all_written() const { return written_ == raw_lengths_.size(); }

  // Ends the table and begins the next. Requires that it is not empty, its last block ended, and all are written.
  TableSummary Finish();

 private:
  const size_t block_bytes_;
  const uint32_t bits_per_key_;

  BlockBuilder block_;
  bool block_incompressible_ = true;  // so far
  std::string last_key_;
  std::vector<BuiltBlock> ready_;
  size_t ready_bytes_ = 0;
  size_t taken_ = 0;  // blocks of this table
  size_t written_ = 0;

  // Of each block: what divides it from the next (known when that begins), raw length, and the handle's other half.
  std::vector<std::string> separators_;
  std::vector<uint32_t> raw_lengths_;
  std::vector<BlockHandle> handles_;

  std::vector<uint64_t> hashes_;  // of the user keys
  uint64_t raw_bytes_ = 0;
  TableSummary summary_;
};

}  // namespace replicad
