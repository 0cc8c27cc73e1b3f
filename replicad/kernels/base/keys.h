// User keys: how they compare, what they share, and where a scan puts one together.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/bytes.h"

namespace replicad {

// The length of what the first `size` bytes of both have in common.
inline size_t SharedBytes(const char* a, const char* b, size_t size) {
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    if (const uint64_t differs = LoadU64(a + i) ^ LoadU64(b + i)) return i + std::countr_zero(differs) / 8;
  }
  while (i < size && a[i] == b[i]) ++i;
  return i;
}

inline size_t SharedBytes(std::string_view a, std::string_view b) {
  return SharedBytes(a.data(), b.data(), a.size() < b.size() ? a.size() : b.size());
}

// The first eight bytes, zero-padded, so that integers order as the keys do; equal ones need the whole keys.
inline uint64_t KeyPrefix(std::string_view key) {
  if (key.size() >= 8) return __builtin_bswap64(LoadU64(key.data()));
  uint64_t word = 0;
  if (!key.empty()) std::memcpy(&word, key.data(), key.size());
  return __builtin_bswap64(word);
}

// Holds the current key of a reader: keeps what the next key shares with it and replaces the rest.
class KeyBuffer {
 public:
  std::string_view view() const { return {data_.get(), size_}; }
  size_t size() const { return size_; }

  // Requires shared <= size().
  void Replace(size_t shared, std::string_view suffix) {
    const size_t size = shared + suffix.size();
    if (size > capacity_) [[unlikely]]
      Grow(size, shared);
    if (!suffix.empty()) std::memcpy(data_.get() + shared, suffix.data(), suffix.size());
    size_ = size;
  }
  void Assign(std::string_view key) { Replace(0, key); }

 private:
  void Grow(size_t size, size_t keep) {
    const size_t capacity = size < 56 ? 64 : size + size / 2;
    std::unique_ptr<char[]> data(new char[capacity]);
    if (keep) std::memcpy(data.get(), data_.get(), keep);
    data_ = std::move(data);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace replicad
