#include "table/index.h"

#include <algorithm>

#include "base/cursor.h"
#include "base/keys.h"

namespace replicad {

std::string_view Separator(std::string_view last, std::string_view next) {
  const size_t bytes = SharedBytes(last, next) + 1;
  return bytes < next.size() && bytes < last.size() ? next.substr(0, bytes) : last;
}

void IndexBuilder::Add(std::string_view separator, const BlockHandle& handle) {
  char length[kVarint32BytesMax];
  entries_.append(length, PutVarint(length, separator.size()));
  entries_.append(separator);
  char fields[16];
  StoreU64(fields, handle.offset);
  StoreU32(fields + 8, handle.length);
  StoreU32(fields + 12, handle.raw_length);
  entries_.append(fields, sizeof fields);
  ++count_;
}

std::string IndexBuilder::Finish() {
  std::string raw(4, '\0');
  StoreU32(raw.data(), count_);
  raw += entries_;
  entries_.clear();
  count_ = 0;
  return raw;
}

TableIndex::TableIndex(std::string_view raw) : raw_(raw) {
  if (raw.size() > UINT32_MAX) throw Corruption("an index of more than 4 GiB", 0);
  Cursor cursor(raw_);
  const uint32_t count = cursor.U32("block count");
  // An entry takes 17 bytes at least: nothing is allocated for a count that cannot be true.
  if (count == 0 || count > cursor.Remaining() / 17) throw Corruption("an index with a wrong block count", 0);
  entries_.reserve(count);
  std::string_view previous;
  uint64_t end = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t at = cursor.Offset();
    const std::string_view key = cursor.Sized(UINT32_MAX, "separator");
    const uint64_t offset = cursor.U64("block offset");
    const uint32_t length = cursor.U32("block length");
    cursor.U32("raw length");
    if (i > 0 && key < previous) throw Corruption("an index's separators are out of order", at);
    if (offset < end || offset > (uint64_t{1} << 62)) throw Corruption("an index's blocks are out of order", at);
    previous = key;
    end = offset + length + kBlockTrailerBytes;
    entries_.push_back({static_cast<uint32_t>(key.data() - raw_.data()), static_cast<uint32_t>(key.size())});
  }
  if (!cursor.Empty()) cursor.Fail("an index with bytes after its end");
  const std::string_view first = separator(0), last = separator(count - 1);
  common_ = first.substr(0, SharedBytes(first, last));
  prefixes_.reserve(count);
  for (uint32_t i = 0; i < count; ++i) prefixes_.push_back(KeyPrefix(separator(i).substr(common_.size())));
}

BlockHandle TableIndex::handle(uint32_t i) const {
  const char* fields = raw_.data() + entries_[i].separator_offset + entries_[i].separator_bytes;
  return {LoadU64(fields), LoadU32(fields + 8), LoadU32(fields + 12)};
}

uint32_t TableIndex::Find(std::string_view key) const {
  const size_t same = SharedBytes(key, common_);
  if (same < common_.size()) {
    const bool before = same == key.size() || static_cast<uint8_t>(key[same]) < static_cast<uint8_t>(common_[same]);
    return before ? 0 : block_count();
  }
  const uint64_t prefix = KeyPrefix(key.substr(same));
  // Branch-free: the comparisons of a random search cannot be predicted.
  const uint64_t* base = prefixes_.data();
  size_t count = prefixes_.size();
  while (count > 1) {
    const size_t half = count / 2;
    base += base[half - 1] < prefix ? half : 0;
    count -= half;
  }
  auto found = static_cast<uint32_t>(base - prefixes_.data());
  if (prefixes_[found] < prefix) return found + 1;
  if (prefixes_[found] > prefix) return found;
  // Equal prefixes: gallop to their end by whole keys.
  uint32_t low = found, step = 1;
  while (low + step < block_count() && prefixes_[low + step] == prefix && separator(low + step) < key) {
    low += step;
    step *= 2;
  }
  uint32_t high = std::min(low + step, block_count());
  // Every separator before low is less than the key; high's is not, unless its prefix is greater or it is the end.
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (separator(middle) < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace replicad
