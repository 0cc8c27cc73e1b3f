#include "base/crc32c.h"

#include <array>

#include "base/bytes.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define REPLICAD_CRC32C_X86 1
#endif

namespace replicad {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected

// Slicing by 8: kTables[k][b] is the CRC register after byte b and then k zero bytes.
constexpr auto kTables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    for (size_t k = 1; k < 8; ++k) {
      const uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}();

[[maybe_unused]] uint32_t ExtendPortable(uint32_t crc, const uint8_t* at, size_t size) {
  crc = ~crc;
  for (; size >= 8; at += 8, size -= 8) {
    const uint64_t word = LoadU64(at) ^ crc;
    crc = 0;
    for (size_t k = 0; k < 8; ++k) crc ^= kTables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; size > 0; ++at, --size) crc = (crc >> 8) ^ kTables[0][(crc ^ *at) & 0xff];
  return ~crc;
}

#ifdef REPLICAD_CRC32C_X86

// The crc32 instruction answers after three cycles and starts every cycle, so three lanes run at once over long data.
// The lanes are joined by advancing a register over a lane's worth of zero bytes: a linear map, kept as four byte
// tables (the method of Mark Adler's crc32c.c).
constexpr size_t kLaneBytes = 1024;
using ZeroTables = std::array<std::array<uint32_t, 256>, 4>;

constexpr uint32_t AdvanceZeros(uint32_t crc, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) crc = (crc >> 8) ^ kTables[0][crc & 0xff];
  return crc;
}

ZeroTables MakeZeroTables() {
  std::array<uint32_t, 32> column{};
  for (unsigned bit = 0; bit < 32; ++bit) column[bit] = AdvanceZeros(uint32_t{1} << bit, kLaneBytes);
  ZeroTables tables{};
  for (unsigned table = 0; table < 4; ++table) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        if (byte & (1u << bit)) tables[table][byte] ^= column[8 * table + bit];
      }
    }
  }
  return tables;
}

const ZeroTables kLaneZeros = MakeZeroTables();

inline uint32_t AdvanceLane(uint32_t crc) {
  return kLaneZeros[0][crc & 0xff] ^ kLaneZeros[1][(crc >> 8) & 0xff] ^ kLaneZeros[2][(crc >> 16) & 0xff] ^
         kLaneZeros[3][crc >> 24];
}

__attribute__((target("sse4.2"))) uint32_t ExtendSse42(uint32_t seed, const uint8_t* at, size_t size) {
  uint64_t crc = static_cast<uint32_t>(~seed);
  while (size >= 3 * kLaneBytes) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kLaneBytes; i += 8) {
      crc = _mm_crc32_u64(crc, LoadU64(at + i));
      second = _mm_crc32_u64(second, LoadU64(at + kLaneBytes + i));
      third = _mm_crc32_u64(third, LoadU64(at + 2 * kLaneBytes + i));
    }
    crc = AdvanceLane(static_cast<uint32_t>(crc)) ^ second;
    crc = AdvanceLane(static_cast<uint32_t>(crc)) ^ third;
    at += 3 * kLaneBytes;
    size -= 3 * kLaneBytes;
  }
  for (; size >= 8; at += 8, size -= 8) crc = _mm_crc32_u64(crc, LoadU64(at));
  auto low = static_cast<uint32_t>(crc);
  for (; size > 0; ++at, --size) low = _mm_crc32_u8(low, *at);
  return ~low;
}

const bool kHasSse42 = [] {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") != 0;
}();

#endif  // REPLICAD_CRC32C_X86

}  // namespace

uint32_t Crc32cExtend(uint32_t crc, const void* data, size_t size) {
  const auto* at = static_cast<const uint8_t*>(data);
#ifdef REPLICAD_CRC32C_X86
  if (kHasSse42) return ExtendSse42(crc, at, size);
#endif
  return ExtendPortable(crc, at, size);
}

}  // namespace replicad
