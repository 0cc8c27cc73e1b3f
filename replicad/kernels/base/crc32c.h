// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected, initial value and final xor ~0): the checksum of the formats.
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace replicad {

// Crc32cExtend(Crc32c(a), b) == Crc32c(a || b). A checksum "seeded with X" is Crc32cExtend(Crc32c(X), data).
uint32_t Crc32cExtend(uint32_t crc, const void* data, size_t size);

inline uint32_t Crc32c(const void* data, size_t size) { return Crc32cExtend(0, data, size); }
inline uint32_t Crc32c(std::string_view data) { return Crc32cExtend(0, data.data(), data.size()); }

}  // namespace replicad
