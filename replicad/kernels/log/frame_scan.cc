#include "log/frame_scan.h"

#include <cstdio>

namespace replicad {
namespace {

std::string Differs(const char* what, uint64_t expected, uint64_t got) {
  return std::string(what) + ": expected " + std::to_string(expected) + ", got " + std::to_string(got);
}

std::string DiffersHex(const char* what, int digits, uint64_t expected, uint64_t got) {
  char text[160];
  std::snprintf(text, sizeof text, "%s: expected %0*llx, got %0*llx", what, digits,
                static_cast<unsigned long long>(expected), digits, static_cast<unsigned long long>(got));
  return text;
}

class Scanner {
 public:
  Scanner(std::string_view data, std::string_view database_id, const LogPosition& after, const ScanOptions& options)
      : data_(data), log_seed_(Crc32c(database_id)), options_(options) {
    if (database_id.size() != kDatabaseIdBytes) throw LimitError("a database id is 16 bytes long");
    scan_.last = after;
  }

  FrameScan Run() {
    while (Step()) {
    }
    return std::move(scan_);
  }

 private:
  bool Step() {
    if (scan_.end == data_.size()) return Stop(ScanStop::kEnd);
    if (options_.max_frames != 0 && scan_.frames == options_.max_frames) return Stop(ScanStop::kLimit);
    if (data_.size() - scan_.end < kFrameHeaderBytes) return Stop(ScanStop::kPartial, "the header is cut off");
    at_ = data_.data() + scan_.end;
    header_ = LoadFrameHeader(at_);
    if (!CheckHeader()) return false;
    if (header_.LastSequence() > options_.stop_sequence) return Stop(ScanStop::kLimit);
    if (!CheckOrder()) return false;
    if (data_.size() - scan_.end - kFrameHeaderBytes < header_.body_length) {
      return Stop(ScanStop::kPartial, "the body is cut off");
    }
    body_ = data_.substr(scan_.end + kFrameHeaderBytes, header_.body_length);
    if (!CheckBody() || !CheckHash()) return false;
    Take();
    return true;
  }

  bool CheckHeader() {
    const uint32_t crc = HeaderCrc(at_, log_seed_);
    const uint32_t said = LoadU32(at_ + frame_offset::kHeaderCrc);
    if (crc != said) return Stop(ScanStop::kBadHeader, DiffersHex("header checksum", 8, said, crc));
    if (header_.flags != 0) return Stop(ScanStop::kNewer, Differs("flags", 0, header_.flags));
    if (header_.body_length == 0 || header_.body_length > kBodyBytesMax) {
      return Stop(ScanStop::kBadHeader, "body length out of range: " + std::to_string(header_.body_length));
    }
    if (header_.first_sequence == 0 || header_.first_sequence > kSequenceMax ||
        header_.Span() > kSequenceMax - header_.first_sequence + 1) {
      return Stop(ScanStop::kBadHeader, "sequence number out of range: " + std::to_string(header_.first_sequence));
    }
    return true;
  }

  bool CheckOrder() {
    if (!options_.check_chain && scan_.frames == 0) return true;
    if (header_.first_sequence != scan_.last.sequence + 1) {
      return Stop(ScanStop::kBadChain, Differs("sequence number", scan_.last.sequence + 1, header_.first_sequence));
    }
    if (header_.epoch < scan_.last.epoch) {
      return Stop(ScanStop::kBadChain, Differs("epoch (or a later one)", scan_.last.epoch, header_.epoch));
    }
    return true;
  }

  bool CheckBody() {
    if (!options_.check_body) return true;
    const uint32_t crc = Crc32c(body_);
    if (crc != header_.body_crc) {
      return Stop(ScanStop::kBadBody, DiffersHex("body checksum", 8, header_.body_crc, crc));
    }
    try {
      const BatchCounts counts = ValidateBatch(body_, scan_.end + kFrameHeaderBytes);
      if (counts.operations == header_.operation_count) return true;
      return Stop(ScanStop::kBadBody, Differs("operations in the body", header_.operation_count, counts.operations));
    } catch (const Corruption& error) {
      return Stop(ScanStop::kBadBody, std::string(error.what()) + " at offset " + std::to_string(error.offset()));
    }
  }

  bool CheckHash() {
    if (!options_.check_chain) return true;
    const uint64_t hash = NextHistoryHash(at_, body_, scan_.last.history_hash);
    if (hash == header_.history_hash) return true;
    return Stop(ScanStop::kBadChain, DiffersHex("history hash", 16, hash, header_.history_hash));
  }

  void Take() {
    if (scan_.frames == 0) scan_.first_sequence = header_.first_sequence;
    ++scan_.frames;
    scan_.operations += header_.operation_count;
    scan_.end += header_.FrameBytes();
    scan_.last = {header_.epoch, header_.LastSequence(), header_.history_hash, header_.commit_time_us};
    scan_.durable_sequence = std::max(scan_.durable_sequence, header_.durable_sequence);
  }

  bool Stop(ScanStop stop, std::string reason = {}) {
    scan_.stop = stop;
    scan_.reason = std::move(reason);
    return false;
  }

  std::string_view data_;
  uint32_t log_seed_;
  ScanOptions options_;
  FrameScan scan_;
  const char* at_ = nullptr;
  FrameHeader header_;
  std::string_view body_;
};

}  // namespace

FrameScan ScanFrames(std::string_view data, std::string_view database_id, const LogPosition& after,
                     const ScanOptions& options) {
  return Scanner(data, database_id, after, options).Run();
}

size_t FindFrameHeader(std::string_view data, std::string_view database_id) {
  if (database_id.size() != kDatabaseIdBytes) throw LimitError("a database id is 16 bytes long");
  const uint32_t log_seed = Crc32c(database_id);
  for (size_t at = 0; at + kFrameHeaderBytes <= data.size(); ++at) {
    const char* header = data.data() + at;
    // Most places, stretches of zeros among them, are ruled out before a checksum is computed.
    const uint32_t body_length = LoadU32(header + frame_offset::kBodyLength);
    const uint32_t flags = LoadU32(header + frame_offset::kFlags);
    if (flags != 0 || body_length == 0 || body_length > kBodyBytesMax) continue;
    if (HeaderCrc(header, log_seed) == LoadU32(header + frame_offset::kHeaderCrc)) return at;
  }
  return std::string_view::npos;
}

}  // namespace replicad
