// The index of a table, against a walk through all separators.
#include "table/index.h"

#include "harness.h"

using namespace replicad;
using namespace replicad::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Parts parts(Input(data, size));
  const std::string_view wanted = parts.Next();
  const std::string_view raw = parts.Rest();
  Accepts(raw.size(), [&] {
    const TableIndex index(raw);
    IndexBuilder builder;
    for (uint32_t i = 0; i < index.block_count(); ++i) builder.Add(index.separator(i), index.handle(i));
    Require(builder.Finish() == raw, "one index has two encodings");
    const auto check = [&](std::string_view key) {
      uint32_t expected = 0;
      while (expected < index.block_count() && index.separator(expected) < key) ++expected;
      Require(index.Find(key) == expected, "a search finds another block than a walk");
    };
    check(wanted);
    for (uint32_t i = 0; i < std::min(index.block_count(), 64u); ++i) {
      check(index.separator(i));
      check(std::string(index.separator(i)) + '\0');
    }
  });
  return 0;
}
