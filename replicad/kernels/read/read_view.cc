#include "read/read_view.h"

#include <algorithm>

namespace replicad {

size_t FindTable(const TableRun& run, std::string_view key) {
  if (run.size() == 1) return run.front()->largest() < key ? 1 : 0;
  const auto found = std::lower_bound(run.begin(), run.end(), key, [](const auto& table, std::string_view wanted) {
    return table->largest() < wanted;
  });
  return static_cast<size_t>(found - run.begin());
}

ReadView::ReadView(std::vector<std::shared_ptr<Memtable>> memtables, std::vector<std::shared_ptr<Table>> level0,
                   std::vector<TableRun> levels)
    : memtables_(std::move(memtables)) {
  for (auto& table : level0) runs_.push_back({std::move(table)});
  for (auto& level : levels) {
    if (!level.empty()) runs_.push_back(std::move(level));
  }
}

const Memtable::Record* ReadView::FindInMemtables(std::string_view key, uint64_t sequence) const {
  for (const auto& memtable : memtables_) {
    if (memtable->empty()) continue;
    if (const auto* record = memtable->Get(key, sequence)) return record;
  }
  return nullptr;
}

LookupResult ReadView::Get(std::string_view key, uint64_t sequence) const {
  if (const auto* record = FindInMemtables(key, sequence)) return {record->trailer, record->value(), BlockRef()};
  LookupKey lookup(key, sequence);
  for (const TableRun& run : runs_) {
    const size_t at = FindTable(run, key);
    if (at == run.size() || key < run[at]->smallest()) continue;
    LookupResult result = run[at]->Get(lookup);
    if (result.found()) return result;
  }
  return {};
}

}  // namespace replicad
