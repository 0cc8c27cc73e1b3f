#include "table/lz4.h"

#include <dlfcn.h>

#include <memory>

namespace replicad {
namespace {

using Bound = int (*)(int);
using Transform = int (*)(const char* from, char* to, int from_bytes, int room);

Bound compress_bound = nullptr;
Transform compress = nullptr;
Transform decompress = nullptr;

}  // namespace

bool LoadLz4(const char* module) {
  void* library = dlopen(module, RTLD_NOW);  // Never closed: its code is called from now on.
  if (library == nullptr) return false;
  compress_bound = reinterpret_cast<Bound>(dlsym(library, "LZ4_compressBound"));
  compress = reinterpret_cast<Transform>(dlsym(library, "LZ4_compress_default"));
  decompress = reinterpret_cast<Transform>(dlsym(library, "LZ4_decompress_safe"));
  return compress_bound && compress && decompress;
}

bool AppendLz4(std::string_view raw, std::string& to) {
  // Longer than LZ4 takes: the bound is 0 then.
  const int room = raw.size() <= INT32_MAX ? compress_bound(static_cast<int>(raw.size())) : 0;
  if (room <= 0) return false;
  const auto packed = std::make_unique_for_overwrite<char[]>(static_cast<size_t>(room));
  const int length = compress(raw.data(), packed.get(), static_cast<int>(raw.size()), room);
  if (length <= 0 || static_cast<size_t>(length) >= raw.size() - raw.size() / 16) return false;
  to.append(packed.get(), static_cast<size_t>(length));
  return true;
}

bool OpenLz4(std::string_view packed, uint32_t raw_length, std::string& raw) {
  if (packed.size() > INT32_MAX || raw_length > INT32_MAX) return false;
  raw.resize(raw_length);
  const int length =
      decompress(packed.data(), raw.data(), static_cast<int>(packed.size()), static_cast<int>(raw_length));
  return length >= 0 && static_cast<uint32_t>(length) == raw_length;
}

}  // namespace replicad
