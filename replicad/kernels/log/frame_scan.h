// Scans a stretch of the log: checks frame after frame and says how far it is good, and why it stops there.
// Touches only what it is given: it may run on any thread, without the GIL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "log/frame.h"

namespace replicad {

// Values that Python sees; not on disk.
enum class ScanStop : int {
  kEnd = 0,        // everything is consumed
  kPartial = 1,    // the next frame is not whole: more bytes are needed
  kLimit = 2,      // stop_sequence or max_frames is reached
  kBadHeader = 3,  // the next header fails its checksum, or says what cannot be
  kBadBody = 4,    // the next body fails its checksum, or is not a batch of that many operations
  kBadChain = 5,   // the next frame does not follow the one before it
  kNewer = 6,      // the next frame has flags that this version does not know
};

struct ScanOptions {
  uint64_t stop_sequence = UINT64_MAX;  // stop before a frame whose last sequence number is above
  uint64_t max_frames = 0;              // 0: no limit
  // The first frame must follow the given position, and every frame extend the history hash. Without it the first frame
  // may stand anywhere and no hash is looked at; later frames must still follow it in sequence and epoch.
  bool check_chain = true;
  // Checksum and structure of bodies; without it only headers are vouched for.
  bool check_body = true;
};

struct FrameScan {
  size_t end = 0;  // bytes consumed: whole, good frames only
  uint64_t frames = 0;
  uint64_t operations = 0;
  uint64_t first_sequence = 0;    // of the first frame; 0 when there is none
  LogPosition last;               // of the last frame; what was given when there is none
  uint64_t durable_sequence = 0;  // the greatest seen
  ScanStop stop = ScanStop::kEnd;
  std::string reason;  // what is wrong with the next frame; empty when nothing is
};

FrameScan ScanFrames(std::string_view data, std::string_view database_id, const LogPosition& after,
                     const ScanOptions& options);

// Where the next header with the right checksum begins, or npos: how a reader finds frames again after damage.
size_t FindFrameHeader(std::string_view data, std::string_view database_id);

}  // namespace replicad
