// Data blocks of a table: sorted entries, prefix-compressed, with restart points (proto/table.md).
//
//   block   := entry* restart* restart_count            restart, restart_count: u32
//   entry   := shared non_shared value_length trailer suffix value
//
// shared, non_shared and value_length are varints; trailer is u64, (sequence << 8) | kind. The user key is the
// first `shared` bytes of the key before it, then the suffix. A restart is the offset of an entry whose `shared`
// is 0; the first entry is one. Order: user key ascending, then sequence descending (so trailer descending).
//
// Decoding is bounds-checked everywhere: any bytes give entries or Corruption, never a read outside the block.
// What is not checked while reading is the order of the entries; decode_block and the merger check that too.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/internal_key.h"
#include "base/keys.h"

namespace replicad {

constexpr uint32_t kRestartInterval = 16;

// What a search needs of a restart, side by side, so that it need not touch the entries.
struct RestartPoint {
  uint64_t prefix;  // KeyPrefix of the entry's key without its first skip_bytes
  uint32_t offset;
  uint32_t end;  // where its entries end
};

// The parts of one raw block; it does not own the bytes.
struct BlockView {
  const char* data = nullptr;
  uint32_t entries_bytes = 0;            // where the entries end and the restarts begin
  uint32_t restart_count = 0;            // at least 1
  const RestartPoint* points = nullptr;  // one a restart, if this block is to be searched
  uint32_t skip_bytes = 0;               // bytes that all keys of the table begin with, searched ones included

  // Checks the trailer, that there is at least one entry and that the restarts ascend from 0.
  static BlockView Parse(std::string_view raw);
  uint32_t restart(uint32_t i) const { return LoadU32(data + entries_bytes + 4 * size_t{i}); }
  const char* limit() const { return data + entries_bytes; }
  // Fills restart_count points for searches; throws Corruption. They must outlive the view.
  void MakePoints(RestartPoint* made, uint32_t skip);
};

// One entry as it is stored: the key still lacks its shared part.
struct StoredEntry {
  uint32_t shared;
  std::string_view suffix;
  uint64_t trailer;
  std::string_view value;
};

// Decodes the entry at p (p < block.limit()) and returns where the next one begins.
const char* DecodeEntrySlow(const BlockView& block, const char* p, StoredEntry& entry);

inline const char* DecodeEntry(const BlockView& block, const char* p, StoredEntry& entry) {
  const size_t room = static_cast<size_t>(block.limit() - p);
  if (room >= 11 && ((p[0] | p[1] | p[2]) & 0x80) == 0) [[likely]] {
    const size_t non_shared = static_cast<uint8_t>(p[1]);
    const size_t value_bytes = static_cast<uint8_t>(p[2]);
    if (room - 11 >= non_shared + value_bytes) [[likely]] {
      entry.shared = static_cast<uint8_t>(p[0]);
      entry.trailer = LoadU64(p + 3);
      entry.suffix = {p + 11, non_shared};
      entry.value = {p + 11 + non_shared, value_bytes};
      if (IsEntryKind(entry.trailer)) [[likely]]
        return p + 11 + non_shared + value_bytes;
    }
  }
  return DecodeEntrySlow(block, p, entry);
}

// What a search in one block found.
enum class SearchResult {
  kFound,    // the newest visible version of the key
  kAbsent,   // a greater key follows: no visible version here nor in any later block
  kPastEnd,  // the block ended first: the next block may begin with a visible version
};

// The last restart whose entry is before (key, bound), or 0. Its entries are on their way into the CPU's cache. This
// and the other searches require the block's points.
uint32_t FindRestart(const BlockView& block, std::string_view key, uint64_t bound);

// Looks for the newest version of `key` whose trailer is at most `bound`, from that restart on. The value points into
// the block.
SearchResult SearchBlock(const BlockView& block, uint32_t restart, std::string_view key, uint64_t bound,
                         uint64_t& trailer, std::string_view& value);

// Reads a block's entries in order. The block's bytes must outlive it; key() is valid until the next move.
class BlockReader {
 public:
  void Open(const BlockView& block);  // at the first entry
  // At the first entry that is not before (key, bound). False when the block ends first.
  bool Seek(const BlockView& block, std::string_view key, uint64_t bound);
  bool Next();  // false at the end

  std::string_view key() const { return key_.view(); }
  uint64_t trailer() const { return entry_.trailer; }
  std::string_view value() const { return entry_.value; }
  uint32_t shared() const { return entry_.shared; }
  // The offset of the entry after the current one.
  uint32_t next_offset() const { return static_cast<uint32_t>(next_ - block_.data); }

 private:
  BlockView block_;
  const char* next_ = nullptr;
  StoredEntry entry_{};
  KeyBuffer key_;
};

// Reads a block's entries backwards, decoding one restart interval at a time.
class BlockReverseReader {
 public:
  void Open(const BlockView& block);  // at the last entry
  // At the last entry whose user key is less than `key`. False when there is none.
  bool SeekBefore(const BlockView& block, std::string_view key);
  bool Prev();  // false at the beginning

  std::string_view key() const { return {keys_.data() + at().key_offset, at().key_bytes}; }
  uint64_t trailer() const { return at().trailer; }
  std::string_view value() const { return at().value; }

 private:
  struct Decoded {
    size_t key_offset;
    size_t key_bytes;
    uint64_t trailer;
    std::string_view value;
  };
  const Decoded& at() const { return decoded_[position_]; }
  void Load(uint32_t interval);

  BlockView block_;
  uint32_t interval_ = 0;
  size_t position_ = 0;  // in decoded_, which is never empty once a block is open
  std::vector<Decoded> decoded_;
  std::string keys_;
};

// Builds one raw block after another. Entries must come in order.
class BlockBuilder {
 public:
  void Add(std::string_view key, uint64_t trailer, std::string_view value);
  bool empty() const { return entries_ == 0; }
  size_t bytes() const { return out_.size() + 4 * (restarts_.size() + 1); }  // of the block if finished now
  std::string Finish();                                                      // the block; starts the next

 private:
  std::string out_;
  std::string last_key_;
  std::vector<uint32_t> restarts_;
  uint32_t entries_ = 0;
};

// Checks everything that the format promises, the order and the restarts too, and calls back for each entry.
void VisitBlock(std::string_view raw, const std::function<void(std::string_view, uint64_t, std::string_view)>& visit);

}  // namespace replicad
