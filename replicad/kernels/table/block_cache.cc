#include "table/block_cache.h"

#include <new>

namespace replicad {

BlockRef Block::Copy(std::string_view raw, uint32_t skip_bytes) {
  const BlockView parsed = BlockView::Parse(raw);
  const size_t points_bytes = sizeof(RestartPoint) * parsed.restart_count;
  const size_t bytes = sizeof(Block) + points_bytes + raw.size();
  char* memory = static_cast<char*>(::operator new(bytes));
  BlockRef block(new (memory) Block());
  char* data = memory + sizeof(Block) + points_bytes;
  std::memcpy(data, raw.data(), raw.size());
  Block& made = *const_cast<Block*>(block.get());
  made.bytes_ = bytes;
  made.view_ = parsed;
  made.view_.data = data;
  made.view_.MakePoints(reinterpret_cast<RestartPoint*>(memory + sizeof(Block)), skip_bytes);
  return block;
}

void BlockRef::Free(const Block* block) {
  block->~Block();
  ::operator delete(const_cast<Block*>(block));
}

uint32_t BlockCache::Add(BlockSlots* slots, uint32_t ordinal, size_t bytes) {
  used_bytes_ += bytes;
  if (free_.empty()) {
    ring_.push_back({slots, ordinal});
    return static_cast<uint32_t>(ring_.size() - 1);
  }
  const uint32_t position = free_.back();
  free_.pop_back();
  ring_[position] = {slots, ordinal};
  return position;
}

void BlockCache::Remove(uint32_t position, size_t bytes) {
  used_bytes_ -= bytes;
  ring_[position] = {};
  free_.push_back(position);
}

void BlockCache::Shrink() {
  // Ends: each full turn of the hand either evicts or takes away the last reference flags.
  while (used_bytes_ > room_bytes()) {
    if (hand_ >= ring_.size()) hand_ = 0;
    const Held held = ring_[hand_];
    if (held.slots) {
      BlockSlots::Slot& slot = held.slots->slots_[held.ordinal];
      if (slot.block->referenced_) {
        slot.block->referenced_ = false;
      } else {
        Remove(slot.position, slot.block->memory_bytes());
        slot.block = BlockRef();
      }
    }
    ++hand_;
  }
}

void BlockSlots::Open(uint32_t count, size_t contents_bytes) {
  slots_.resize(count);
  charged_bytes_ = contents_bytes + memory_bytes();
  cache_->charged_bytes_ += charged_bytes_;
  cache_->Shrink();
}

BlockSlots::~BlockSlots() {
  cache_->charged_bytes_ -= charged_bytes_;
  for (Slot& slot : slots_) {
    if (slot.block) cache_->Remove(slot.position, slot.block->memory_bytes());
  }
}

void BlockSlots::Insert(uint32_t ordinal, const BlockRef& block, CacheFill fill) {
  Slot& slot = slots_[ordinal];
  if (slot.block || fill == CacheFill::kNever) return;
  const size_t left = cache_->room_bytes() - (fill == CacheFill::kRoom ? cache_->used_bytes_ : 0);
  if (block->memory_bytes() > left) return;
  slot.position = cache_->Add(this, ordinal, block->memory_bytes());
  slot.block = block;
  cache_->Shrink();
}

}  // namespace replicad
