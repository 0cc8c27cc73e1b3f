// Which blocks of a table LZ4 is tried on: a pure function of the blocks before.
//
// Trying costs 0.2 to 0.5 ns for each random byte, of the 1.2 to 1.6 that a compaction takes. So after a row of blocks
// that did not become smaller only some are tried, and a block that a compaction read as it was, because LZ4 had not
// made it smaller, counts as known. The same blocks always give the same table.
#pragma once

#include <algorithm>
#include <cstdint>

namespace replicad {

inline constexpr uint32_t kMissesBeforePause = 4;
// At least every 16th block is tried: where values begin to compress, as few are missed.
inline constexpr uint32_t kPauseBlocksMax = 15;
// So often a known block is tried all the same: its writer may have passed it over untried.
inline constexpr uint32_t kKnownEvery = 32;

// Of one table, block after block: Wanted, and Tried after each that was wanted.
class CompressionTries {
 public:
  // Whether to try the next block. known: all it holds was stored as it is after LZ4 was tried.
  bool Wanted(bool known) {
    if (known && known_is_true_) return ++known_ % kKnownEvery == 0;
    if (passed_over_ == 0) return true;
    --passed_over_;
    return false;
  }

  void Tried(bool known, bool smaller) {
    if (known && known_is_true_) {
      // What was known of one block was wrong: nothing is taken from it for the rest of this table.
      known_is_true_ = !smaller;
    } else if (smaller) {
      misses_ = 0;
    } else if (++misses_ >= kMissesBeforePause) {
      const uint32_t doublings = std::min(misses_ - kMissesBeforePause + 1, 8u);
      passed_over_ = std::min((1u << doublings) - 1, kPauseBlocksMax);
    }
  }

 private:
  uint32_t misses_ = 0;       // tried in a row, without becoming smaller
  uint32_t passed_over_ = 0;  // how many blocks go by before the next is tried
  uint32_t known_ = 0;
  bool known_is_true_ = true;
};

}  // namespace replicad
