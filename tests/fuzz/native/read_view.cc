// A table whose index, filter and blocks are what the input says: lookups and scans answer or say Corruption.
#include "read/read_view.h"

#include "harness.h"
#include "read/scan.h"

using namespace replicad;
using namespace replicad::fuzz;

namespace {

class InputSource final : public BlockSource {
 public:
  InputSource(std::string_view index, std::string_view filter, std::vector<std::string_view> blocks)
      : index_(index), filter_(filter), blocks_(std::move(blocks)) {}

  std::shared_ptr<const TableContents> Load() override {
    return std::make_shared<const TableContents>(index_, filter_);
  }
  BlockRef Fetch(const BlockHandle& handle, uint32_t skip_bytes) override {
    if (blocks_.empty()) throw Corruption("there is no block", 0);
    return Block::Copy(blocks_[handle.offset % blocks_.size()], skip_bytes);
  }

 private:
  const std::string index_, filter_;
  const std::vector<std::string_view> blocks_;
};

void Walk(const std::shared_ptr<ReadView>& view, Direction direction, const ScanBounds& bounds, uint64_t sequence) {
  const auto scan = Scan::Make(view, bounds, sequence, direction, true);
  std::string_view key, value;
  // A table that is not in order may be walked twice, never for ever.
  for (int pairs = 0; scan->Next(key, value); ++pairs) Require(pairs < 1'000'000, "a scan does not end");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Parts parts(Input(data, size));
  const uint64_t sequence = parts.Byte() < 128 ? 5 : kSequenceMax;
  std::string smallest(parts.Next()), largest(parts.Next());
  if (largest < smallest) std::swap(smallest, largest);
  const std::string key(parts.Next());
  const std::string_view index = parts.Next(), filter = parts.Next();
  std::vector<std::string_view> blocks;
  while (!parts.Empty()) blocks.push_back(parts.Next());
  const auto cache = std::make_shared<BlockCache>(1024);
  const auto table =
      std::make_shared<Table>(1, smallest, largest, cache, std::make_unique<InputSource>(index, filter, blocks));
  const auto view = std::make_shared<ReadView>(std::vector<std::shared_ptr<Memtable>>{},
                                               std::vector<std::shared_ptr<Table>>{}, std::vector<TableRun>{{table}});
  const std::vector<std::string_view> keys = {smallest, key, largest};
  for (std::string_view each : keys) {
    Accepts(size, [&] { static_cast<void>(view->Get(each, sequence)); });
  }
  Accepts(size, [&] { view->MultiGet(keys, sequence, [](size_t, const LookupResult&) {}); });
  for (const ScanBounds& bounds : {ScanBounds{}, ScanBounds{smallest, key}, ScanBounds{key, largest}}) {
    Accepts(size, [&] { Walk(view, Direction::kForward, bounds, sequence); });
    Accepts(size, [&] { Walk(view, Direction::kReverse, bounds, sequence); });
  }
  return 0;
}
