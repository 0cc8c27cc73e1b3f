#include "table/table.h"

#include "base/keys.h"

namespace replicad {

Table::Table(uint64_t number, std::string smallest, std::string largest, std::shared_ptr<BlockCache> cache,
             std::unique_ptr<BlockSource> source)
    : number_(number),
      smallest_(std::move(smallest)),
      largest_(std::move(largest)),
      shared_bytes_(static_cast<uint32_t>(SharedBytes(smallest_, largest_))),
      slots_(std::move(cache)),
      source_(std::move(source)) {}

void Table::LoadContents() {
  auto loaded = source_->Load();
  if (contents_) return;  // Another thread was first.
  slots_.Open(loaded->index.block_count(), loaded->memory_bytes());
  contents_ = std::move(loaded);
}

LookupResult Table::Get(const LookupKey& key) {
  LookupResult result;
  const TableContents& table = contents();
  if (!table.filter.MayContain(key.hash)) return result;
  // The versions of one key may span blocks; mostly one block decides.
  for (uint32_t ordinal = table.index.Find(key.key); ordinal < table.index.block_count(); ++ordinal) {
    const Block* block = slots_.Find(ordinal);
    if (!block) {
      result.block = LoadBlock(ordinal, CacheFill::kEvict);
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

uint32_t Table::Locate(const LookupKey& key) {
  const auto& [index, filter] = contents();
  if (!filter.MayContain(key.hash)) return index.block_count();
  const uint32_t ordinal = index.Find(key.key);
  if (ordinal < index.block_count()) slots_.Prefetch(ordinal);
  return ordinal;
}

BlockRef Table::ReadBlock(uint32_t ordinal, CacheFill fill) {
  contents();
  if (const Block* block = slots_.Find(ordinal)) return BlockRef(block);
  return LoadBlock(ordinal, fill);
}

BlockRef Table::LoadBlock(uint32_t ordinal, CacheFill fill) {
  slots_.CountMiss();
  BlockRef block = source_->Fetch(contents_->index.handle(ordinal), shared_bytes_);
  slots_.Insert(ordinal, block, fill);
  return block;
}

}  // namespace replicad
