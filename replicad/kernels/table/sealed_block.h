// Blocks as they lie in the file of a table (proto/table.md):
//
//   sealed block := payload type crc      type: u8, 0 raw or 1 LZ4; crc: u32 of payload and type, seeded with the
//                                         table's id and the block's offset in the file
//
// The seed is the reason that a block which stands in another place, or another table, fails as well.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "table/compression_tries.h"
#include "table/index.h"

namespace replicad {

// A raw block out of what lies at a handle.
struct OpenedBlock {
  std::string raw;
  bool compressed = false;  // there, in the file
};

// `sealed` is payload and trailer. Throws Corruption, whose offset is the block's in the file; any bytes and any handle
// are safe.
OpenedBlock OpenBlock(std::string_view sealed, std::string_view table_id, const BlockHandle& handle);

// Seals the blocks of one table, one behind the other, and keeps the bytes until they are taken.
//
// Not thread-safe; one owner at a time.
class BlockSealer {
 public:
  // compress: try LZ4.
  BlockSealer(std::string_view table_id, bool compress) : table_id_(table_id), compress_(compress) {}

  // A data block. incompressible: see BuiltBlock.
  BlockHandle SealData(std::string_view raw, bool incompressible);
  // Any other block; try_lz4 counts where the table is to be compressed.
  BlockHandle Seal(std::string_view raw, bool try_lz4);

  uint64_t offset() const { return offset_; }              // bytes sealed so far, taken or not
  size_t waiting() const { return out_.size() - taken_; }  // sealed and not taken
  void Take(char* to, size_t bytes);                       // the next; bytes <= waiting()
  uint64_t tried() const { return tried_; }                // blocks that LZ4 was tried on
  uint64_t compressed() const { return compressed_; }      // those that became smaller

 private:
  const std::string table_id_;
  const bool compress_;
  CompressionTries tries_;
  std::string out_;
  size_t taken_ = 0;  // of out_
  uint64_t offset_ = 0;
  uint64_t tried_ = 0;
  uint64_t compressed_ = 0;
};

}  // namespace replicad
