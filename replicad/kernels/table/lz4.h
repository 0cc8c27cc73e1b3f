// The LZ4 block format (proto/table.md), of the library that the Python package lz4 brings: its extension module
// exports the functions of that library, so the kernels need no second one.
//
// LoadLz4 comes first, once; then thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace replicad {

// False when the shared library does not have the functions; `module` is its path, or a name that the loader finds.
bool LoadLz4(const char* module);

// Appends `raw` compressed; false, and nothing appended, when that would not save a sixteenth.
bool AppendLz4(std::string_view raw, std::string& to);

// Whether `packed` is LZ4 of exactly raw_length bytes, which replace what is in `raw`.
bool OpenLz4(std::string_view packed, uint32_t raw_length, std::string& raw);

// A byte of LZ4 says no more than that: what claims to become longer cannot be true.
inline constexpr uint64_t kLz4RatioMax = 255;

}  // namespace replicad
