#include "table.h"

#include "keys.h"

namespace replicad {

Table::Table(uint64_t number, std::string_view index, std::string_view filter, std::string smallest,
             std::string largest, std::shared_ptr<BlockCache> cache, std::unique_ptr<BlockSource> source)
    : number_(number),
      smallest_(std::move(smallest)),
      largest_(std::move(largest)),
      shared_bytes_(static_cast<uint32_t>(SharedBytes(smallest_, largest_))),
      index_(index),
      filter_(filter),
      slots_(std::move(cache), index_.block_count()),
      source_(std::move(source)) {}

LookupResult Table::Get(const LookupKey& key) {
  LookupResult result;
  if (!filter_.MayContain(key.hash)) return result;
  // The versions of one key may span blocks; mostly one block decides.
  for (uint32_t ordinal = index_.Find(key.key); ordinal < index_.block_count(); ++ordinal) {
    const Block* block = slots_.Find(ordinal);
    if (!block) {
      result.block = Load(ordinal);
      block = result.block.get();
    }
    const uint32_t restart = FindRestart(block->view(), key.key, key.bound);
    const SearchResult found = SearchBlock(block->view(), restart, key.key, key.bound, result.trailer, result.value);
    if (found == SearchResult::kFound) break;
    result.block = BlockRef();
    if (found == SearchResult::kAbsent) break;
  }
  return result;
}

uint32_t Table::Locate(const LookupKey& key) const {
  if (!filter_.MayContain(key.hash)) return index_.block_count();
  const uint32_t ordinal = index_.Find(key.key);
  if (ordinal < index_.block_count()) slots_.Prefetch(ordinal);
  return ordinal;
}

BlockRef Table::ReadBlock(uint32_t ordinal) {
  if (const Block* block = slots_.Find(ordinal)) return BlockRef(block);
  return Load(ordinal);
}

BlockRef Table::Load(uint32_t ordinal) {
  slots_.CountMiss();
  BlockRef block = source_->Fetch(index_.handle(ordinal), shared_bytes_);
  slots_.Insert(ordinal, block);
  return block;
}

}  // namespace replicad
