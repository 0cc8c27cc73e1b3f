// Blocks of several runs, merged: what comes out is in order, or the merge says that what went in was not.
#include <map>

#include "harness.h"
#include "merge/merger.h"

using namespace replicad;
using namespace replicad::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Parts parts(Input(data, size));
  const uint8_t choice = parts.Byte();
  MergerOptions options{.snapshots = {}, .bottom = (choice & 1) != 0, .block_bytes = 128, .bits_per_key = 10};
  if (choice & 2) options.snapshots = {5, 50};
  Merger merger(options);
  const uint32_t runs = 1 + (choice >> 2) % 4;
  for (uint32_t i = 0; i < runs; ++i) merger.AddRun();
  for (uint32_t i = 0; !parts.Empty(); ++i) merger.Feed(i % runs, std::string(parts.Next()));
  for (uint32_t i = 0; i < runs; ++i) merger.Finish(i);
  std::string last_key;
  uint64_t last_trailer = 0, offset = 0, entries = 0;
  Accepts(size, [&] {
    for (;;) {
      const MergeStatus status = merger.Run(256);
      Require(status != MergeStatus::kNeedInput, "a run that is fed to its end wants more");
      for (const auto& [block, incompressible] : merger.builder().TakeBlocks()) {
        VisitBlock(block, [&](std::string_view key, uint64_t trailer, std::string_view) {
          Require(entries == 0 || last_key < key || (last_key == key && last_trailer > trailer),
                  "entries come out of order");
          last_key = key;
          last_trailer = trailer;
          ++entries;
        });
        Require(merger.builder().BlockWritten(offset, static_cast<uint32_t>(block.size())), "a block of no table");
        offset += block.size() + kBlockTrailerBytes;
      }
      if (status == MergeStatus::kTableEnd) {
        const TableSummary summary = merger.FinishTable();
        TableIndex index(summary.index);
        offset = 0;
      }
      if (status == MergeStatus::kDone) break;
    }
    Require(entries == merger.entries_out(), "entries were lost on the way");
  });
  return 0;
}
