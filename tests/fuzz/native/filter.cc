// A filter as it comes, and one that is built of the input: it contains what it was built of.
#include "harness.h"
#include "table/bloom.h"

using namespace replicad;
using namespace replicad::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Parts parts(Input(data, size));
  const uint32_t bits_per_key = parts.Byte() % 40;
  const std::string_view raw = parts.Rest();
  Accepts(raw.size(), [&] {
    const Filter filter(raw);
    for (uint64_t hash : {uint64_t{0}, UINT64_MAX, FilterHash(raw)}) static_cast<void>(filter.MayContain(hash));
  });
  std::vector<uint64_t> hashes;
  while (!parts.Empty()) hashes.push_back(FilterHash(parts.Next()));
  const Filter built(BuildFilter(hashes, bits_per_key));
  for (uint64_t hash : hashes) Require(built.MayContain(hash), "a filter denies what it was built of");
  return 0;
}
