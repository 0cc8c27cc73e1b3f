// Bloom filter of a table's user keys, blocked by cache lines: a lookup reads one line (proto/table.md).
//
//   filter := line* line_count probes        line: 64 bytes; line_count: u32, at least 1; probes: u8, 1 to 16
//
// The hash of a key is h = XXH64(key, seed 0). Its line is (h >> 32) * line_count >> 32. Probe i, from 1 to probes,
// tests bit (h * C^i mod 2^64) >> 55 of the line, C = 0x9e3779b97f4a7c15; bit b is bit b % 8 of byte b / 8.
// An empty filter (no bytes) may contain everything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace replicad {

uint64_t FilterHash(std::string_view key);

// The raw filter of keys with these hashes; empty when bits_per_key is 0.
std::string BuildFilter(const std::vector<uint64_t>& hashes, uint32_t bits_per_key);

// A filter in memory, its lines aligned. Immutable.
class Filter {
 public:
  explicit Filter(std::string_view raw);  // throws Corruption

  void Prefetch(uint64_t hash) const {
    if (line_count_) __builtin_prefetch(&lines_[Line(hash)]);
  }
  bool MayContain(uint64_t hash) const {
    if (line_count_ == 0) return true;
    const uint64_t* words = lines_[Line(hash)].words;
    for (uint32_t i = 0; i < probes_; ++i) {
      hash *= kMultiplier;
      const uint64_t bit = hash >> 55;
      if (!(words[bit / 64] >> (bit % 64) & 1)) return false;
    }
    return true;
  }
  size_t memory_bytes() const { return sizeof(FilterLine) * size_t{line_count_}; }

 private:
  friend std::string BuildFilter(const std::vector<uint64_t>&, uint32_t);
  static constexpr uint64_t kMultiplier = 0x9e3779b97f4a7c15;
  struct alignas(64) FilterLine {
    uint64_t words[8];
  };
  uint64_t Line(uint64_t hash) const { return (hash >> 32) * line_count_ >> 32; }

  std::unique_ptr<FilterLine[]> lines_;
  uint32_t line_count_ = 0;
  uint32_t probes_ = 0;
};

}  // namespace replicad
