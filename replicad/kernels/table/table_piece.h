// Data blocks of a table that are read from its file at once, for merges, which bypass the cache.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "table/index.h"
#include "table/sealed_block.h"

namespace replicad {

// Blocks first (given) to end, which is not one of them, and where they lie with their trailers.
struct TablePiece {
  uint32_t end;
  uint64_t offset;
  uint64_t length;
};

// Those from `first` on that follow each other within piece_bytes; one at least. first < block_count().
TablePiece PieceFrom(const TableIndex& index, uint32_t first, uint64_t piece_bytes);

// The raw blocks first to end out of what was read there; throws Corruption as OpenBlock does.
std::vector<OpenedBlock> OpenPiece(const TableIndex& index, uint32_t first, uint32_t end, std::string_view sealed,
                                   std::string_view table_id);

}  // namespace replicad
