// A scan: the visible pairs of a read view between two bounds at one sequence number, in order or in reverse.
//
// Protected by the GIL. Next may read blocks, and so run any Python code (table.h); memtables may grow meanwhile and
// between calls. Only one call at a time: the code that exposes a scan refuses a second one, and goes on with none
// after an exception, because entries could be missing then.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/keys.h"
#include "merge/merge_heap.h"
#include "read/read_view.h"

namespace replicad {

// Lower is inclusive, upper exclusive; absent means unbounded.
struct ScanBounds {
  std::optional<std::string> lower;
  std::optional<std::string> upper;
};

// Reads the blocks of a scan. A long one would sweep the cache clean of what others read again, so after its first
// blocks it evicts nothing more.
class ScanBlocks {
 public:
  explicit ScanBlocks(bool fill_cache) : fill_(fill_cache ? CacheFill::kEvict : CacheFill::kNever) {}

  BlockRef Read(Table& table, uint32_t ordinal) {
    BlockRef block = table.ReadBlock(ordinal, fill_);
    if (fill_ == CacheFill::kEvict && (read_bytes_ += block->memory_bytes()) > kEvictingBytesMax) {
      fill_ = CacheFill::kRoom;
    }
    return block;
  }

 private:
  static constexpr size_t kEvictingBytesMax = size_t{1} << 20;
  CacheFill fill_;
  size_t read_bytes_ = 0;
};

class Scan {
 public:
  // Touches nothing yet: the first Next seeks. With fill_cache false no block that it reads is kept.
  static std::unique_ptr<Scan> Make(std::shared_ptr<const ReadView> view, ScanBounds bounds, uint64_t sequence,
                                    Direction direction, bool fill_cache);
  Scan(std::shared_ptr<const ReadView> view, ScanBounds bounds, uint64_t sequence, bool fill_cache)
      : view_(std::move(view)),
        bounds_(std::move(bounds)),
        sequence_(sequence),
        bound_(SeekTrailer(sequence)),
        blocks_(fill_cache) {}
  virtual ~Scan() = default;
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;

  const ReadView& view() const { return *view_; }

  // The next pair; false at the end, then and ever after. The views are valid until the next call.
  virtual bool Next(std::string_view& key, std::string_view& value) = 0;

 protected:
  const std::shared_ptr<const ReadView> view_;
  const ScanBounds bounds_;
  const uint64_t sequence_;
  const uint64_t bound_;  // entries with greater trailers are newer than the reader
  ScanBlocks blocks_;
  std::vector<std::unique_ptr<EntrySource>> sources_;
  bool started_ = false;
  KeyBuffer last_key_;  // the user key that was decided last
};

}  // namespace replicad
