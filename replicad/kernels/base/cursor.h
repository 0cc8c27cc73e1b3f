// Cursor: the one decoder. Every read is checked against the end of the bytes and fails with Corruption, which names
// what was being read and where. It owns nothing: the bytes must outlive it and the views it returns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/errors.h"

namespace replicad {

class Cursor {
 public:
  // `base` is added to the offsets of errors: where `data` begins in what the caller was given.
  explicit Cursor(std::string_view data, uint64_t base = 0)
      : begin_(data.data()), at_(data.data()), end_(data.data() + data.size()), base_(base) {}

  bool Empty() const { return at_ == end_; }
  size_t Remaining() const { return static_cast<size_t>(end_ - at_); }
  size_t Consumed() const { return static_cast<size_t>(at_ - begin_); }
  uint64_t Offset() const { return base_ + Consumed(); }

  uint8_t U8(const char* what) {
    Need(1, what);
    return static_cast<uint8_t>(*at_++);
  }

  uint32_t U32(const char* what) {
    Need(4, what);
    const uint32_t value = LoadU32(at_);
    at_ += 4;
    return value;
  }

  uint64_t U64(const char* what) {
    Need(8, what);
    const uint64_t value = LoadU64(at_);
    at_ += 8;
    return value;
  }

  uint32_t Varint32(const char* what) {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    return static_cast<uint32_t>(LongVarint(what, UINT32_MAX));
  }

  uint64_t Varint64(const char* what) {
    if (at_ != end_ && static_cast<uint8_t>(*at_) < 0x80) return static_cast<uint8_t>(*at_++);
    return LongVarint(what, UINT64_MAX);
  }

  std::string_view Bytes(uint64_t size, const char* what) {
    Need(size, what);
    const std::string_view view(at_, static_cast<size_t>(size));
    at_ += size;
    return view;
  }

  // A varint length of at most `limit`, then that many bytes.
  std::string_view Sized(uint32_t limit, const char* what) {
    const char* start = at_;
    const uint32_t size = Varint32(what);
    if (size > limit) FailAt(start, std::string(what) + " is longer than its limit");
    return Bytes(size, what);
  }

  // Throws Corruption at the current offset.
  [[noreturn]] void Fail(const std::string& reason) const { FailAt(at_, reason); }

 private:
  void Need(uint64_t size, const char* what) const {
    if (size > Remaining()) [[unlikely]]
      FailAt(at_, std::string(what) + " runs past the end");
  }

  [[noreturn]] void FailAt(const char* at, const std::string& reason) const {
    throw Corruption(reason, base_ + static_cast<uint64_t>(at - begin_));
  }

  // Refuses what does not fit into `max` and an encoding with needless bytes, so that every value has one encoding.
  uint64_t LongVarint(const char* what, uint64_t max) {
    const char* start = at_;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      Need(1, what);
      const auto byte = static_cast<uint8_t>(*at_++);
      const uint64_t bits = byte & 0x7f;
      if (bits > (max >> shift)) FailAt(start, std::string(what) + " is a varint out of range");
      value |= bits << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) FailAt(start, std::string(what) + " is a varint with needless bytes");
        return value;
      }
    }
    FailAt(start, std::string(what) + " is a varint without an end");
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  uint64_t base_;
};

}  // namespace replicad
