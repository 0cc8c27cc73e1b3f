#include "table/table_builder.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/internal_key.h"
#include "table/bloom.h"

namespace replicad {

void TableBuilder::Add(std::string_view key, uint64_t trailer, std::string_view value, bool incompressible) {
  const uint64_t sequence = TrailerSequence(trailer);
  if (empty()) {
    summary_.smallest = key;
    summary_.first_sequence = sequence;
  } else if (block_.empty()) {
    separators_.emplace_back(Separator(last_key_, key));
  }
  if (empty() || key != last_key_) {
    if (bits_per_key_) hashes_.push_back(FilterHash(key));
    last_key_ = key;
  }
  ++summary_.entries;
  summary_.deletions += TrailerKind(trailer) == EntryKind::kDelete;
  summary_.raw_key_bytes += key.size();
  summary_.raw_value_bytes += value.size();
  summary_.first_sequence = std::min(summary_.first_sequence, sequence);
  summary_.last_sequence = std::max(summary_.last_sequence, sequence);
  block_.Add(key, trailer, value);
  block_incompressible_ &= incompressible;
  if (block_.bytes() >= block_bytes_) EndBlock();
}

void TableBuilder::EndBlock() {
  if (block_.empty()) return;
  ready_.push_back({block_.Finish(), std::exchange(block_incompressible_, true)});
  const size_t bytes = ready_.back().raw.size();
  ready_bytes_ += bytes;
  raw_bytes_ += bytes;
  raw_lengths_.push_back(static_cast<uint32_t>(bytes));
}

std::vector<BuiltBlock> TableBuilder::TakeBlocks() {
  taken_ += ready_.size();
  ready_bytes_ = 0;
  return std::exchange(ready_, {});
}

bool TableBuilder::BlockWritten(uint64_t offset, uint32_t length) {
  if (written_ == taken_) return false;
  handles_.push_back({offset, length, raw_lengths_[written_]});
  ++written_;
  return true;
}

TableSummary TableBuilder::Finish() {
  assert(!empty() && block_.empty() && all_written());
  separators_.push_back(last_key_);
  IndexBuilder index;
  for (size_t i = 0; i < handles_.size(); ++i) index.Add(separators_[i], handles_[i]);
  summary_.index = index.Finish();
  summary_.filter = BuildFilter(hashes_, bits_per_key_);
  summary_.largest = last_key_;
  taken_ = written_ = 0;
  separators_.clear();
  raw_lengths_.clear();
  handles_.clear();
  hashes_.clear();
  raw_bytes_ = 0;
  return std::exchange(summary_, {});
}

}  // namespace replicad
