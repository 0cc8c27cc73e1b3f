#include "table/block.h"

#include <algorithm>

#include "base/cursor.h"
#include "base/errors.h"
#include "log/batch.h"

namespace replicad {

BlockView BlockView::Parse(std::string_view raw) {
  if (raw.size() < 8) throw Corruption("a data block of " + std::to_string(raw.size()) + " bytes", 0);
  if (raw.size() > UINT32_MAX) throw Corruption("a data block of more than 4 GiB", 0);
  const uint32_t count = LoadU32(raw.data() + raw.size() - 4);
  if (count == 0 || count > (raw.size() - 4) / 4) {
    throw Corruption("a data block with " + std::to_string(count) + " restarts", raw.size() - 4);
  }
  BlockView block{raw.data(), static_cast<uint32_t>(raw.size() - 4 - 4 * size_t{count}), count};
  uint64_t previous = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t offset = block.restart(i);
    if (offset >= block.entries_bytes || (i == 0 ? offset != 0 : offset <= previous)) {
      throw Corruption("a data block's restarts are out of order", block.entries_bytes + 4 * size_t{i});
    }
    previous = offset;
  }
  return block;
}

const char* DecodeEntrySlow(const BlockView& block, const char* p, StoredEntry& entry) {
  const auto offset = static_cast<uint64_t>(p - block.data);
  Cursor cursor({p, static_cast<size_t>(block.limit() - p)}, offset);
  entry.shared = cursor.Varint32("shared key length");
  const uint32_t non_shared = cursor.Varint32("key length");
  const uint32_t value_bytes = cursor.Varint32("value length");
  entry.trailer = cursor.U64("trailer");
  entry.suffix = cursor.Bytes(non_shared, "key");
  entry.value = cursor.Bytes(value_bytes, "value");
  if (uint64_t{entry.shared} + non_shared > kKeyBytesMax) throw Corruption("a key longer than any", offset);
  if (!IsEntryKind(entry.trailer)) throw Corruption("an entry of an unknown kind", offset);
  return entry.value.data() + entry.value.size();
}

namespace {

constexpr uint32_t kPrefetchBytes = 1024;

[[noreturn]] void ThrowShared(const BlockView& block, const StoredEntry& entry) {
  throw Corruption("an entry shares more than the key before it has",
                   static_cast<uint64_t>(entry.suffix.data() - block.data));
}

[[noreturn]] void ThrowNoRestart(uint64_t offset) {
  throw Corruption("more entries than a restart stands before", offset);
}

// The entry at a restart: its suffix is its key.
const char* DecodeRestart(const BlockView& block, uint32_t restart, StoredEntry& entry) {
  const char* next = DecodeEntry(block, block.data + block.restart(restart), entry);
  if (entry.shared != 0) [[unlikely]]
    ThrowShared(block, entry);
  return next;
}

int Compare(std::string_view a_key, uint64_t a_trailer, std::string_view b_key, uint64_t b_trailer) {
  if (const int order = a_key.compare(b_key)) return order;
  return a_trailer == b_trailer ? 0 : a_trailer > b_trailer ? -1 : 1;
}

}  // namespace

void BlockView::MakePoints(RestartPoint* made, uint32_t skip) {
  StoredEntry entry;
  for (uint32_t i = 0; i < restart_count; ++i) {
    DecodeRestart(*this, i, entry);
    const size_t skipped = std::min<size_t>(skip, entry.suffix.size());
    made[i] = {KeyPrefix(entry.suffix.substr(skipped)), restart(i),
               i + 1 < restart_count ? restart(i + 1) : entries_bytes};
  }
  points = made;
  skip_bytes = skip;
}

uint32_t FindRestart(const BlockView& block, std::string_view key, uint64_t bound) {
  const uint64_t prefix = KeyPrefix(key.substr(std::min<size_t>(block.skip_bytes, key.size())));
  const RestartPoint* end = block.points + block.restart_count;
  // The restarts before `point` are before (key, bound) for certain.
  const RestartPoint* point =
      std::partition_point(block.points, end, [&](const RestartPoint& at) { return at.prefix < prefix; });
  StoredEntry entry;
  for (; point != end && point->prefix == prefix; ++point) {
    DecodeRestart(block, static_cast<uint32_t>(point - block.points), entry);
    if (Compare(entry.suffix, entry.trailer, key, bound) >= 0) break;
  }
  if (point != block.points) --point;
  const uint32_t stop = std::min(point->end, point->offset + kPrefetchBytes);
  for (uint32_t offset = point->offset; offset < stop; offset += 64) __builtin_prefetch(block.data + offset);
  return static_cast<uint32_t>(point - block.points);
}

SearchResult SearchBlock(const BlockView& block, uint32_t restart, std::string_view key, uint64_t bound,
                         uint64_t& trailer, std::string_view& value) {
  const char* p = block.data + block.points[restart].offset;
  // No key is put together here. `matched` bytes of the wanted key are a prefix of the key before; an entry that
  // shares more than those with it is less than the wanted key, as that one was.
  size_t matched = 0, previous_bytes = 0;
  StoredEntry entry;
  while (p < block.limit()) {
    p = DecodeEntry(block, p, entry);
    if (entry.shared > previous_bytes) [[unlikely]]
      ThrowShared(block, entry);
    previous_bytes = entry.shared + entry.suffix.size();
    if (entry.shared > matched) continue;
    const std::string_view rest = key.substr(entry.shared);
    const size_t same = SharedBytes(entry.suffix, rest);
    matched = entry.shared + same;
    if (same == rest.size()) {
      if (same < entry.suffix.size()) return SearchResult::kAbsent;
      if (entry.trailer > bound) continue;
      trailer = entry.trailer;
      value = entry.value;
      return SearchResult::kFound;
    }
    if (same < entry.suffix.size() && static_cast<uint8_t>(entry.suffix[same]) > static_cast<uint8_t>(rest[same])) {
      return SearchResult::kAbsent;
    }
  }
  return SearchResult::kPastEnd;
}

void BlockReader::Open(const BlockView& block) {
  block_ = block;
  next_ = block.data;
  key_.Assign({});
  Next();
}

bool BlockReader::Seek(const BlockView& block, std::string_view key, uint64_t bound) {
  block_ = block;
  next_ = block.data + block.restart(FindRestart(block, key, bound));
  key_.Assign({});
  while (Next()) {
    if (Compare(key_.view(), entry_.trailer, key, bound) >= 0) return true;
  }
  return false;
}

bool BlockReader::Next() {
  if (next_ == block_.limit()) return false;
  next_ = DecodeEntry(block_, next_, entry_);
  if (entry_.shared > key_.size()) [[unlikely]]
    ThrowShared(block_, entry_);
  key_.Replace(entry_.shared, entry_.suffix);
  return true;
}

void BlockReverseReader::Load(uint32_t interval) {
  interval_ = interval;
  decoded_.clear();
  keys_.clear();
  const char* p = block_.data + block_.restart(interval);
  const char* end = interval + 1 < block_.restart_count ? block_.data + block_.restart(interval + 1) : block_.limit();
  size_t key_offset = 0, key_bytes = 0;
  StoredEntry entry;
  while (p < end) {
    // Keys that share make a block grow in memory: no more of them than a writer puts there.
    if (decoded_.size() == kRestartInterval) [[unlikely]]
      ThrowNoRestart(static_cast<uint64_t>(p - block_.data));
    p = DecodeEntry(block_, p, entry);
    if (entry.shared > key_bytes) [[unlikely]]
      ThrowShared(block_, entry);
    const size_t previous = key_offset;
    key_offset = keys_.size();
    key_bytes = entry.shared + entry.suffix.size();
    keys_.resize(key_offset + key_bytes);
    std::memcpy(keys_.data() + key_offset, keys_.data() + previous, entry.shared);
    PutBytes(keys_.data() + key_offset + entry.shared, entry.suffix);
    decoded_.push_back({key_offset, key_bytes, entry.trailer, entry.value});
  }
  position_ = decoded_.size() - 1;
}

void BlockReverseReader::Open(const BlockView& block) {
  block_ = block;
  Load(block.restart_count - 1);
}

bool BlockReverseReader::SeekBefore(const BlockView& block, std::string_view key) {
  block_ = block;
  Load(FindRestart(block, key, UINT64_MAX));
  do {
    if (this->key() < key) return true;
  } while (Prev());
  return false;
}

bool BlockReverseReader::Prev() {
  if (position_ > 0) {
    --position_;
    return true;
  }
  if (interval_ == 0) return false;
  Load(interval_ - 1);
  return true;
}

void BlockBuilder::Add(std::string_view key, uint64_t trailer, std::string_view value) {
  size_t shared = 0;
  if (entries_ % kRestartInterval == 0) {
    restarts_.push_back(static_cast<uint32_t>(out_.size()));
  } else {
    shared = SharedBytes(last_key_, key);
  }
  const std::string_view suffix = key.substr(shared);
  char head[3 * kVarint32BytesMax + 8];
  char* end = PutVarint(PutVarint(PutVarint(head, shared), suffix.size()), value.size());
  StoreU64(end, trailer);
  out_.append(head, static_cast<size_t>(end - head) + 8);
  out_.append(suffix);
  out_.append(value);
  last_key_.resize(shared);
  last_key_.append(suffix);
  ++entries_;
}

std::string BlockBuilder::Finish() {
  restarts_.push_back(static_cast<uint32_t>(restarts_.size()));
  out_.append(reinterpret_cast<const char*>(restarts_.data()), 4 * restarts_.size());
  std::string block = std::move(out_);
  out_.clear();
  out_.reserve(block.size());
  last_key_.clear();
  restarts_.clear();
  entries_ = 0;
  return block;
}

void VisitBlock(std::string_view raw, const std::function<void(std::string_view, uint64_t, std::string_view)>& visit) {
  const BlockView block = BlockView::Parse(raw);
  KeyBuffer previous;
  uint64_t previous_trailer = 0;
  BlockReader reader;
  uint32_t restart = 0;
  uint32_t since_restart = 0;
  uint32_t offset = 0;
  reader.Open(block);
  do {
    if (restart < block.restart_count && block.restart(restart) == offset) {
      if (reader.shared() != 0) throw Corruption("the entry at a restart shares bytes", offset);
      ++restart;
      since_restart = 0;
    } else if (restart < block.restart_count && block.restart(restart) < offset) {
      break;
    }
    if (since_restart++ == kRestartInterval) ThrowNoRestart(offset);
    if (offset > 0 && Compare(previous.view(), previous_trailer, reader.key(), reader.trailer()) >= 0) {
      throw Corruption("a data block's entries are out of order", offset);
    }
    visit(reader.key(), reader.trailer(), reader.value());
    previous.Assign(reader.key());
    previous_trailer = reader.trailer();
    offset = reader.next_offset();
  } while (reader.Next());
  if (restart != block.restart_count)
    throw Corruption("a restart is not where an entry begins", block.restart(restart));
}

}  // namespace replicad
