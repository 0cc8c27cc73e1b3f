// A scan: the visible pairs of a read view between two bounds at one sequence number, in order or in reverse.
//
// Protected by the GIL. Next may read blocks, and so run any Python code (table.h); memtables may grow meanwhile and
// between calls. Only one call at a time: whoever exposes a scan refuses a second one, and goes on with none after an
// exception, because entries could be missing then.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keys.h"
#include "merge_heap.h"
#include "read_view.h"

namespace replicad {

// Lower is inclusive, upper exclusive; absent means unbounded.
struct ScanBounds {
  std::optional<std::string> lower;
  std::optional<std::string> upper;
};

class Scan {
 public:
  // Touches nothing yet: the first Next seeks.
  static std::unique_ptr<Scan> Make(std::shared_ptr<const ReadView> view, ScanBounds bounds, uint64_t sequence,
                                    Direction direction);
  Scan(std::shared_ptr<const ReadView> view, ScanBounds bounds, uint64_t sequence)
      : view_(std::move(view)), bounds_(std::move(bounds)), sequence_(sequence), bound_(SeekTrailer(sequence)) {}
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
  std::vector<std::unique_ptr<EntrySource>> sources_;
  bool started_ = false;
  KeyBuffer last_key_;  // the user key that was decided last
};

}  // namespace replicad
