#include "table/sealed_block.h"

#include <cassert>
#include <cstring>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/errors.h"
#include "table/lz4.h"

namespace replicad {
namespace {

constexpr char kRaw = 0;  // on disk; never renumbered
constexpr char kLz4 = 1;

uint32_t Checksum(std::string_view table_id, uint64_t offset, std::string_view payload_and_type) {
  char place[8];
  StoreU64(place, offset);
  const uint32_t seed = Crc32cExtend(Crc32c(table_id), place, sizeof place);
  return Crc32cExtend(seed, payload_and_type.data(), payload_and_type.size());
}

[[noreturn]] void Refuse(const char* what, uint64_t expected, const std::string& got, const BlockHandle& handle) {
  throw Corruption(std::string(what) + " (expected " + std::to_string(expected) + ", got " + got + ")", handle.offset);
}

}  // namespace

OpenedBlock OpenBlock(std::string_view sealed, std::string_view table_id, const BlockHandle& handle) {
  const uint64_t expected_bytes = uint64_t{handle.length} + kBlockTrailerBytes;
  if (sealed.size() != expected_bytes) {
    Refuse("a block is cut", expected_bytes, std::to_string(sealed.size()), handle);
  }
  const std::string_view checked = sealed.substr(0, handle.length + 1);
  const uint32_t stored = LoadU32(sealed.data() + checked.size());
  const uint32_t actual = Checksum(table_id, handle.offset, checked);
  if (actual != stored) Refuse("block checksum", stored, std::to_string(actual), handle);

  const std::string_view payload = sealed.substr(0, handle.length);
  const char type = checked.back();
  if (type == kRaw) {
    if (payload.size() != handle.raw_length) {
      Refuse("block length", handle.raw_length, std::to_string(payload.size()), handle);
    }
    return {std::string(payload), false};
  }
  if (type != kLz4) {
    throw Corruption("unknown block type " + std::to_string(static_cast<uint8_t>(type)), handle.offset);
  }

  // No room is made for a length that LZ4 cannot reach.
  const uint64_t reachable = payload.size() * kLz4RatioMax;
  OpenedBlock opened{.raw = {}, .compressed = true};
  if (handle.raw_length > reachable) {
    Refuse("a block does not decompress to its length", handle.raw_length, "at most " + std::to_string(reachable),
           handle);
  }
  if (!OpenLz4(payload, handle.raw_length, opened.raw)) {
    throw Corruption("a block does not decompress to its length, " + std::to_string(handle.raw_length) + " bytes",
                     handle.offset);
  }
  return opened;
}

BlockHandle BlockSealer::SealData(std::string_view raw, bool incompressible) {
  if (!compress_ || !tries_.Wanted(incompressible)) return Seal(raw, false);
  const uint64_t before = compressed_;
  const BlockHandle handle = Seal(raw, true);
  tries_.Tried(incompressible, compressed_ != before);
  return handle;
}

BlockHandle BlockSealer::Seal(std::string_view raw, bool try_lz4) {
  const size_t begin = out_.size();
  const bool tried = compress_ && try_lz4;
  const bool compressed = tried && AppendLz4(raw, out_);
  if (!compressed) out_.append(raw);
  const BlockHandle handle{offset_, static_cast<uint32_t>(out_.size() - begin), static_cast<uint32_t>(raw.size())};
  tried_ += tried;
  compressed_ += compressed;

  out_.push_back(compressed ? kLz4 : kRaw);
  char crc[4];
  StoreU32(crc, Checksum(table_id_, offset_, std::string_view(out_).substr(begin)));
  out_.append(crc, sizeof crc);
  offset_ += out_.size() - begin;
  return handle;
}

void BlockSealer::Take(char* to, size_t bytes) {
  assert(bytes <= waiting());
  std::memcpy(to, out_.data() + taken_, bytes);
  taken_ += bytes;
  // A large block is taken in pieces: what is left is moved to the front only when that is less than what went.
  if (taken_ * 2 >= out_.size()) {
    out_.erase(0, taken_);
    taken_ = 0;
  }
}

}  // namespace replicad
