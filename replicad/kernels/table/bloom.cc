#include "table/bloom.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/errors.h"
#include "base/xxh64.h"

namespace replicad {
namespace {

constexpr size_t kLineBytes = 64;
constexpr size_t kTrailerBytes = 5;
constexpr uint32_t kProbesMax = 16;

// The number of probes with the fewest false positives, measured; fewer than bits * ln 2, because lines fill unevenly.
uint32_t ChooseProbes(uint32_t bits_per_key) { return std::clamp(bits_per_key * 6 / 10, 1u, kProbesMax); }

}  // namespace

uint64_t FilterHash(std::string_view key) { return Xxh64(key); }

std::string BuildFilter(const std::vector<uint64_t>& hashes, uint32_t bits_per_key) {
  if (bits_per_key == 0) return {};
  const uint64_t bits = std::max<uint64_t>(1, hashes.size()) * bits_per_key;
  const auto line_count = static_cast<uint32_t>(std::min<uint64_t>((bits + 511) / 512, UINT32_MAX));
  const uint32_t probes = ChooseProbes(bits_per_key);
  std::string raw(kLineBytes * line_count + kTrailerBytes, '\0');
  for (uint64_t hash : hashes) {
    char* line = raw.data() + kLineBytes * ((hash >> 32) * line_count >> 32);
    for (uint32_t i = 0; i < probes; ++i) {
      hash *= Filter::kMultiplier;
      const uint64_t bit = hash >> 55;
      line[bit / 8] = static_cast<char>(line[bit / 8] | 1 << (bit % 8));
    }
  }
  char* trailer = raw.data() + kLineBytes * line_count;
  StoreU32(trailer, line_count);
  trailer[4] = static_cast<char>(probes);
  return raw;
}

Filter::Filter(std::string_view raw) {
  if (raw.empty()) return;
  if (raw.size() < kTrailerBytes) throw Corruption("a filter of " + std::to_string(raw.size()) + " bytes", 0);
  const size_t lines_bytes = raw.size() - kTrailerBytes;
  line_count_ = LoadU32(raw.data() + lines_bytes);
  probes_ = static_cast<uint8_t>(raw.back());
  if (line_count_ == 0 || lines_bytes != kLineBytes * line_count_) {
    throw Corruption("a filter whose line count is not its size", lines_bytes);
  }
  if (probes_ == 0 || probes_ > kProbesMax) throw Corruption("a filter with a wrong number of probes", raw.size() - 1);
  lines_.reset(new FilterLine[line_count_]);
  std::memcpy(lines_.get(), raw.data(), lines_bytes);
}

}  // namespace replicad
