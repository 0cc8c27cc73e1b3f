// ReadView::MultiGet: many keys go through the steps of a lookup side by side, so that the memory that each step of one
// key waits for arrives while the others are worked on.
#include <algorithm>

#include "read/read_view.h"

namespace replicad {
namespace {

constexpr size_t kGroup = Memtable::kTogetherMax;

struct Probe {
  Probe(const LookupKey& key, size_t position) : key(key), position(position) {}

  LookupKey key;
  size_t position;         // of the key among those wanted
  Table* table = nullptr;  // of the run at hand; null: the key is not in it
  uint32_t ordinal = 0;
  uint32_t restart = 0;
  BlockRef block;
};

// The key's version in its table, from the block at hand if that is cached and decides.
LookupResult Search(Probe& probe) {
  if (!probe.block) return probe.table->Get(probe.key);
  LookupResult result;
  const SearchResult found =
      SearchBlock(probe.block->view(), probe.restart, probe.key.key, probe.key.bound, result.trailer, result.value);
  if (found == SearchResult::kPastEnd) return probe.table->Get(probe.key);
  if (found == SearchResult::kFound) result.block = std::move(probe.block);
  return result;
}

// Looks the probes up in one run; those that were found are visited and leave.
void SearchRun(const TableRun& run, std::vector<Probe>& probes,
               const std::function<void(size_t, const LookupResult&)>& visit) {
  for (Probe& probe : probes) {
    const size_t at = FindTable(run, probe.key.key);
    probe.table = at < run.size() && probe.key.key >= run[at]->smallest() ? run[at].get() : nullptr;
    if (probe.table) probe.table->PrefetchFilter(probe.key);
  }
  for (Probe& probe : probes) {
    if (!probe.table) continue;
    probe.ordinal = probe.table->Locate(probe.key);
    if (probe.ordinal == probe.table->index().block_count()) probe.table = nullptr;
  }
  for (const Probe& probe : probes) {
    if (probe.table) probe.table->PrefetchBlock(probe.ordinal);
  }
  for (Probe& probe : probes) {
    if (!probe.table) continue;
    probe.block = probe.table->CachedBlock(probe.ordinal);
    if (probe.block) probe.restart = FindRestart(probe.block->view(), probe.key.key, probe.key.bound);
  }
  // From here on blocks may be fetched: the others are held by their probes.
  std::erase_if(probes, [&](Probe& probe) {
    if (!probe.table) return false;
    const LookupResult result = Search(probe);
    probe.block = BlockRef();
    if (result.found()) visit(probe.position, result);
    return result.found();
  });
}

}  // namespace

void ReadView::FindInMemtables(std::span<const std::string_view> keys, uint64_t sequence,
                               const Memtable::Record** records) const {
  std::fill_n(records, keys.size(), nullptr);
  std::string_view missing[kGroup];
  size_t places[kGroup];
  const Memtable::Record* found[kGroup];
  for (const auto& memtable : memtables_) {
    if (memtable->empty()) continue;
    size_t count = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (records[i] != nullptr) continue;
      missing[count] = keys[i];
      places[count++] = i;
    }
    if (count == 0) return;
    memtable->GetTogether({missing, count}, sequence, found);
    for (size_t i = 0; i < count; ++i) records[places[i]] = found[i];
  }
}

void ReadView::MultiGet(const std::vector<std::string_view>& keys, uint64_t sequence,
                        const std::function<void(size_t, const LookupResult&)>& visit) const {
  std::vector<Probe> probes;
  const Memtable::Record* records[kGroup];
  for (size_t begin = 0; begin < keys.size(); begin += kGroup) {
    const size_t count = std::min(kGroup, keys.size() - begin);
    FindInMemtables({keys.data() + begin, count}, sequence, records);
    probes.clear();
    for (size_t i = 0; i < count; ++i) {
      if (const auto* record = records[i]) {
        visit(begin + i, {record->trailer, record->value(), BlockRef()});
      } else {
        probes.emplace_back(LookupKey(keys[begin + i], sequence), begin + i);
      }
    }
    for (const TableRun& run : runs_) {
      if (probes.empty()) break;
      SearchRun(run, probes, visit);
    }
    for (const Probe& probe : probes) visit(probe.position, {});
  }
}

}  // namespace replicad
