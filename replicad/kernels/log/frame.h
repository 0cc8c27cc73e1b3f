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
//
// This file is the only one that knows where a field stands: others use FrameHeader (all of Python does), or the
// offsets that are named here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/internal_key.h"
#include "base/xxh64.h"
#include "log/batch.h"

namespace replicad {

inline constexpr size_t kFrameHeaderBytes = 56;
inline constexpr size_t kDatabaseIdBytes = 16;

// Where the fields stand. On disk and on the wire, never changed.
namespace frame_offset {
inline constexpr size_t kHeaderCrc = 0;
inline constexpr size_t kBodyLength = 4;
inline constexpr size_t kBodyCrc = 8;
inline constexpr size_t kEpoch = 12;
inline constexpr size_t kOperationCount = 16;
inline constexpr size_t kFlags = 20;
inline constexpr size_t kFirstSequence = 24;
inline constexpr size_t kDurableSequence = 32;
inline constexpr size_t kCommitTime = 40;
inline constexpr size_t kHistoryHash = 48;

// The table of proto/log.md, with the types of its columns: each field begins where the one before it ends.
struct Layout {
  uint32_t header_crc, body_length, body_crc, epoch, operation_count, flags;
  uint64_t first_sequence, durable_sequence, commit_time_us, history_hash;
};
static_assert(sizeof(Layout) == kFrameHeaderBytes);
static_assert(offsetof(Layout, header_crc) == kHeaderCrc && offsetof(Layout, body_length) == kBodyLength);
static_assert(offsetof(Layout, body_crc) == kBodyCrc && offsetof(Layout, epoch) == kEpoch);
static_assert(offsetof(Layout, operation_count) == kOperationCount && offsetof(Layout, flags) == kFlags);
static_assert(offsetof(Layout, first_sequence) == kFirstSequence);
static_assert(offsetof(Layout, durable_sequence) == kDurableSequence);
static_assert(offsetof(Layout, commit_time_us) == kCommitTime && offsetof(Layout, history_hash) == kHistoryHash);

// What the history hash covers of the header: body CRC through first sequence number, and the commit time. The durable
// sequence number between them describes the writer's disk and not the history.
inline constexpr size_t kHashedBytes = kDurableSequence - kBodyCrc;
static_assert(kBodyCrc == 8 && kDurableSequence == 32 && kCommitTime == 40 && kHistoryHash == 48);
static_assert(kHashedBytes + sizeof(Layout::commit_time_us) == kXxh64StripeBytes);
}  // namespace frame_offset

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

// What a writer or a scan knows of the last frame: the name of a history, and the least time of the next frame.
struct LogPosition {
  uint32_t epoch = 0;
  uint64_t sequence = 0;
  uint64_t history_hash = 0;
  uint64_t commit_time_us = 0;
};

// The hash after a frame. All fields of `header` are in place but header_crc and history_hash.
inline uint64_t NextHistoryHash(const char* header, std::string_view body, uint64_t previous) {
  char stripe[kXxh64StripeBytes];
  std::memcpy(stripe, header + frame_offset::kBodyCrc, frame_offset::kHashedBytes);
  std::memcpy(stripe + frame_offset::kHashedBytes, header + frame_offset::kCommitTime, sizeof(uint64_t));
  return Xxh64WithStripe(stripe, body, previous);
}

inline uint32_t HeaderCrc(const char* header, uint32_t log_seed) {
  // All of the header but this checksum.
  return Crc32cExtend(log_seed, header + frame_offset::kBodyLength, kFrameHeaderBytes - frame_offset::kBodyLength);
}

// Reads 56 bytes. Checks nothing.
inline FrameHeader LoadFrameHeader(const char* header) {
  using namespace frame_offset;
  return {
      .body_length = LoadU32(header + kBodyLength),
      .body_crc = LoadU32(header + kBodyCrc),
      .epoch = LoadU32(header + kEpoch),
      .operation_count = LoadU32(header + kOperationCount),
      .flags = LoadU32(header + kFlags),
      .first_sequence = LoadU64(header + kFirstSequence),
      .durable_sequence = LoadU64(header + kDurableSequence),
      .commit_time_us = LoadU64(header + kCommitTime),
      .history_hash = LoadU64(header + kHistoryHash),
  };
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
