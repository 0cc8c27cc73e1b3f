#include "table/table_piece.h"

namespace replicad {

TablePiece PieceFrom(const TableIndex& index, uint32_t first, uint64_t piece_bytes) {
  const BlockHandle begin = index.handle(first);
  TablePiece piece{first + 1, begin.offset, uint64_t{begin.length} + kBlockTrailerBytes};
  // Blocks follow each other without gaps. An index that says otherwise ends the piece, and is found out by the
  // checksum of the next.
  while (piece.end < index.block_count()) {
    const BlockHandle next = index.handle(piece.end);
    const uint64_t bytes = uint64_t{next.length} + kBlockTrailerBytes;
    if (next.offset != piece.offset + piece.length || piece.length + bytes > piece_bytes) break;
    piece.length += bytes;
    ++piece.end;
  }
  return piece;
}

std::vector<OpenedBlock> OpenPiece(const TableIndex& index, uint32_t first, uint32_t end, std::string_view sealed,
                                   std::string_view table_id) {
  std::vector<OpenedBlock> blocks;
  blocks.reserve(end - first);
  for (uint32_t i = first; i < end; ++i) {
    const BlockHandle handle = index.handle(i);
    const std::string_view block = sealed.substr(0, uint64_t{handle.length} + kBlockTrailerBytes);
    blocks.push_back(OpenBlock(block, table_id, handle));
    sealed.remove_prefix(block.size());
  }
  return blocks;
}

}  // namespace replicad
