// A raw data block: every way to read it, and what the strict walk accepts must be found by all of them.
#include "table/block.h"

#include "harness.h"
#include "table/block_cache.h"

using namespace replicad;
using namespace replicad::fuzz;

namespace {

struct Entry {
  std::string key;
  uint64_t trailer;
  std::string value;
  bool operator==(const Entry&) const = default;
};

std::vector<Entry> Forward(std::string_view raw) {
  std::vector<Entry> entries;
  BlockReader reader;
  reader.Open(BlockView::Parse(raw));
  do {
    entries.push_back({std::string(reader.key()), reader.trailer(), std::string(reader.value())});
  } while (reader.Next());
  return entries;
}

std::vector<Entry> Backward(std::string_view raw) {
  std::vector<Entry> entries;
  BlockReverseReader reader;
  reader.Open(BlockView::Parse(raw));
  do {
    entries.insert(entries.begin(), {std::string(reader.key()), reader.trailer(), std::string(reader.value())});
  } while (reader.Prev());
  return entries;
}

void Search(const BlockView& view, std::string_view key, uint64_t bound) {
  uint64_t trailer;
  std::string_view value;
  SearchBlock(view, FindRestart(view, key, bound), key, bound, trailer, value);
  BlockReader forward;
  forward.Seek(view, key, bound);
  BlockReverseReader backward;
  backward.SeekBefore(view, key);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Parts parts(Input(data, size));
  const std::string key(parts.Next());
  const std::string_view raw = parts.Rest();
  std::vector<Entry> entries;
  const bool strict = Accepts(raw.size(), [&] {
    VisitBlock(raw, [&](std::string_view k, uint64_t t, std::string_view v) {
      entries.push_back({std::string(k), t, std::string(v)});
    });
  });
  Accepts(raw.size(), [&] { Forward(raw); });
  Accepts(raw.size(), [&] { Backward(raw); });
  Accepts(raw.size(), [&] { Search(Block::Copy(raw, 0)->view(), key, UINT64_MAX); });
  if (!strict) return 0;

  Require(Forward(raw) == entries && Backward(raw) == entries, "two walks of one block differ");
  const BlockRef block = Block::Copy(raw, 0);
  for (const Entry& entry : entries) {
    uint64_t trailer;
    std::string_view value;
    const uint32_t restart = FindRestart(block->view(), entry.key, entry.trailer);
    Require(SearchBlock(block->view(), restart, entry.key, entry.trailer, trailer, value) == SearchResult::kFound &&
                trailer == entry.trailer && value == entry.value,
            "an entry is not found");
  }
  BlockBuilder builder;
  for (const Entry& entry : entries) builder.Add(entry.key, entry.trailer, entry.value);
  Require(Forward(builder.Finish()) == entries, "a block built again holds something else");
  return 0;
}
