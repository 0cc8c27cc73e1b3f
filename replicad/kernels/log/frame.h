// The header of a frame (proto/log.md). A frame is one batch in the log: a header of 56 bytes, then the body.
//
//    0 u32 header_crc        crc32c(database id || header[4:56])
//    4 u32 body_length
//    8 u32 body_crc          crc32c(body)
//   12 u32 epoch
//   16 u32 operation_count   annotations are not counted
//   20 u32 flags             0
//   24 u64 first_sequence
//   32 u64 durable_sequence  of the writer, when it wrote this
//   40 u64 commit_time_us    never less than the one before
//   48 u64 history_hash      XXH64(header[8:32] || header[40:48] || body, seed = the hash before)
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "log/batch.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "memtable/memtable.h"
#include "base/xxh64.h"

namespace replicad {

inline constexpr size_t kFrameHeaderBytes = 56;
inline constexpr size_t kDatabaseIdBytes = 16;

struct FrameHeader {
  uint32_t body_length = 0;
  uint32_t body_crc = 0;
  uint32_t epoch = 0;
  uint32_t operation_count = 0;
  uint32_t flags = 0;
  uint64_t first_sequence = 0;
  uint64_t durable_sequence = 0;
  uint64_t commit_time_us = 0;
  uint64_t history_hash = 0;

  // Sequence numbers that the frame takes: a batch of annotations alone takes one.
  uint64_t Span() const { return std::max<uint64_t>(1, operation_count); }
  uint64_t LastSequence() const { return first_sequence + Span() - 1; }
  size_t FrameBytes() const { return kFrameHeaderBytes + body_length; }
};

// What an application-wide reader knows of the last frame: the name of a history, and the least time of the next one.
struct LogPosition {
  uint32_t epoch = 0;
  uint64_t sequence = 0;
  uint64_t history_hash = 0;
  uint64_t commit_time_us = 0;
};

// The hash after a frame; all fields of `header` but the last two checks (header_crc, history_hash) are in place.
inline uint64_t NextHistoryHash(const char* header, std::string_view body, uint64_t previous) {
  char stripe[kXxh64StripeBytes];
  std::memcpy(stripe, header + 8, 24);
  std::memcpy(stripe + 24, header + 40, 8);
  return Xxh64WithStripe(stripe, body, previous);
}

inline uint32_t HeaderCrc(const char* header, uint32_t log_seed) {
  return Crc32cExtend(log_seed, header + 4, kFrameHeaderBytes - 4);
}

// Reads 56 bytes. Checks nothing.
inline FrameHeader LoadFrameHeader(const char* header) {
  return {LoadU32(header + 4),  LoadU32(header + 8),  LoadU32(header + 12), LoadU32(header + 16), LoadU32(header + 20),
          LoadU64(header + 24), LoadU64(header + 32), LoadU64(header + 40), LoadU64(header + 48)};
}

// Walks whole frames that were scanned before (frame_scan.h); throws Corruption where they are not whole.
class FrameReader {
 public:
  FrameReader(std::string_view frames, size_t offset) : frames_(frames), offset_(offset) {
    if (offset > frames.size()) throw Corruption("offset lies beyond the frames", offset);
  }

  bool Next() {
    if (offset_ == frames_.size()) return false;
    if (frames_.size() - offset_ < kFrameHeaderBytes) throw Corruption("frame header runs past the end", offset_);
    header_ = LoadFrameHeader(frames_.data() + offset_);
    body_start_ = offset_ + kFrameHeaderBytes;
    if (frames_.size() - body_start_ < header_.body_length) throw Corruption("frame runs past the end", offset_);
    offset_ = body_start_ + header_.body_length;
    return true;
  }

  const FrameHeader& header() const { return header_; }
  std::string_view body() const { return frames_.substr(body_start_, header_.body_length); }
  size_t body_start() const { return body_start_; }
  size_t offset() const { return offset_; }  // of the next frame

 private:
  std::string_view frames_;
  size_t offset_;
  size_t body_start_ = 0;
  FrameHeader header_;
};

}  // namespace replicad
