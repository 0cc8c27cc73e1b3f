// Internal keys: what makes one version of a user key. The trailer, eight bytes after the user key, holds the sequence
// number and the kind of the entry. On disk in tables (proto/table.md), never renumbered.
//
// Order: user key ascending (bytewise), then trailer descending, so that newer versions come first.
#pragma once

#include <cstdint>

namespace replicad {

enum class EntryKind : uint8_t { kPut = 1, kDelete = 2 };

inline constexpr uint64_t kSequenceMax = (uint64_t{1} << 56) - 1;

constexpr uint64_t MakeTrailer(uint64_t sequence, EntryKind kind) { return sequence << 8 | static_cast<uint8_t>(kind); }
constexpr uint64_t TrailerSequence(uint64_t trailer) { return trailer >> 8; }
constexpr EntryKind TrailerKind(uint64_t trailer) { return static_cast<EntryKind>(trailer & 0xff); }
constexpr bool IsEntryKind(uint64_t trailer) { return static_cast<uint8_t>(trailer) - 1u <= 1u; }
// Sorts before every entry of the same key that a reader at `sequence` may see, and after the newer ones.
constexpr uint64_t SeekTrailer(uint64_t sequence) {
  return (sequence > kSequenceMax ? kSequenceMax : sequence) << 8 | 0xff;
}

}  // namespace replicad
