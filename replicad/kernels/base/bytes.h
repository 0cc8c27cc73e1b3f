// Fixed-width little-endian integers and varints, written. Reading goes through Cursor (cursor.h), apart from
// fixed-width fields whose presence was checked before.
//
// varint: LEB128, seven bits a byte, least significant first; the high bit says that another byte follows.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace replicad {

static_assert(std::endian::native == std::endian::little, "the formats are little-endian and so are these loads");

inline constexpr size_t kVarint32BytesMax = 5;
inline constexpr size_t kVarint64BytesMax = 10;

inline uint32_t LoadU32(const void* from) {
  uint32_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline uint64_t LoadU64(const void* from) {
  uint64_t value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void StoreU32(void* to, uint32_t value) { std::memcpy(to, &value, sizeof value); }
inline void StoreU64(void* to, uint64_t value) { std::memcpy(to, &value, sizeof value); }

inline size_t VarintSize(uint64_t value) { return (std::bit_width(value | 1) + 6) / 7; }

// Writes at most kVarint64BytesMax bytes; returns the first byte after them.
inline char* PutVarint(char* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *to++ = static_cast<char>(value);
  return to;
}

// Returns the first byte after the copy. `data` may be empty, its pointer null then.
inline char* PutBytes(char* to, std::string_view data) {
  if (!data.empty()) std::memcpy(to, data.data(), data.size());
  return to + data.size();
}

}  // namespace replicad
