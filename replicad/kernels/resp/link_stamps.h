// LinkStamps: what a batch of a client has besides its writes in a linked family: the stamp of each key, and the clock
// (proto/link.md). Python says which families are linked and what time it is; the clock is one for both.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "log/batch.h"

namespace replicad {

class LinkStamps {
 public:
  static constexpr size_t kOriginBytes = 16;

  // `families` are linked; the records go to two others. `origin` is the database id.
  void Link(std::vector<uint32_t> families, uint32_t stamps, uint32_t origins, std::string_view origin) {
    if (origin.size() != kOriginBytes) throw LimitError("a database id has 16 bytes");
    families_ = std::move(families);
    stamps_ = stamps;
    origins_ = origins;
    origin_ = origin;
  }
  bool Links(uint32_t family) const {
    return !families_.empty() && std::find(families_.begin(), families_.end(), family) != families_.end();
  }
  uint32_t FamilyMax(uint32_t family) const { return std::max({family, stamps_, origins_}); }

  // The hybrid clock: no stamp that is made from now on has the time `last_us` or an earlier one.
  uint64_t last_us = 0;
  uint64_t now_us = 0;   // the wall clock, when it was looked at last
  uint64_t seen_us = 0;  // every write of others with this time or an earlier one is here
  void Tick() { last_us = std::max(now_us, last_us + 1); }

  size_t StampBytes(std::string_view key) const {
    const size_t stamped = sizeof(uint32_t) + key.size();
    return 1 + VarintSize(stamps_) + VarintSize(stamped) + stamped + VarintSize(kStampBytes) + kStampBytes;
  }
  size_t ClockBytes() const { return PutOperationSize(origins_, origin_, {record_, kRecordBytes}); }

  // Of a key that was written at `last_us`.
  char* PutStamp(char* to, uint32_t family, std::string_view key, bool deletes) const {
    *to++ = static_cast<char>(Tag::kPut);
    to = PutVarint(to, stamps_);
    to = PutVarint(to, sizeof(uint32_t) + key.size());
    to = PutBytes(PutBig(to, family, sizeof(uint32_t)), key);
    to = PutVarint(to, kStampBytes);
    to = PutBytes(PutBig(to, last_us, sizeof last_us), origin_);
    *to++ = deletes ? 2 : 1;
    return to;
  }
  char* PutClock(char* to) const {
    char record[kRecordBytes] = {};
    PutBig(record + 12, last_us, sizeof last_us);
    PutBig(record + 20, seen_us, sizeof seen_us);
    return PutPutOperation(to, origins_, origin_, {record, sizeof record});
  }

 private:
  static constexpr size_t kStampBytes = 8 + kOriginBytes + 1;
  static constexpr size_t kRecordBytes = 4 + 3 * 8;  // epoch and sequence number, which are 0; clock, seen
  static constexpr char record_[kRecordBytes] = {};

  static char* PutBig(char* to, uint64_t value, size_t bytes) {
    for (size_t i = bytes; i-- > 0;) *to++ = static_cast<char>(value >> (8 * i));
    return to;
  }

  std::vector<uint32_t> families_;
  uint32_t stamps_ = 0, origins_ = 0;
  std::string origin_;
};

}  // namespace replicad
