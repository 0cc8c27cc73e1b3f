// A read view: everything that a reader of one column family needs, newest first. Immutable.
//
// Protected by the GIL, like what it is made of. Get may read blocks, and so run any Python code (table.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "memtable/memtable.h"
#include "table/table.h"

namespace replicad {

// Tables that do not overlap, sorted by key. Never empty inside a view.
using TableRun = std::vector<std::shared_ptr<Table>>;

// The first table whose largest key is not less than the key; run.size() when there is none.
size_t FindTable(const TableRun& run, std::string_view key);

class ReadView {
 public:
  // memtables and level0: newest first; levels: level 1 and on.
  ReadView(std::vector<std::shared_ptr<Memtable>> memtables, std::vector<std::shared_ptr<Table>> level0,
           std::vector<TableRun> levels);

  const std::vector<std::shared_ptr<Memtable>>& memtables() const { return memtables_; }
  // Every table of level 0 as a run of its own, newest first, then the levels that are not empty.
  const std::vector<TableRun>& runs() const { return runs_; }

  // The newest version that a reader at `sequence` sees; how long its value is good: LookupResult.
  LookupResult Get(std::string_view key, uint64_t sequence) const;
  // The same for many keys: visits each key once, with its position in `keys`, in any order. The result is good for the
  // visit only; `visit` must not run Python code.
  void MultiGet(const std::vector<std::string_view>& keys, uint64_t sequence,
                const std::function<void(size_t, const LookupResult&)>& visit) const;

 private:
  const Memtable::Record* FindInMemtables(std::string_view key, uint64_t sequence) const;
  // Of Memtable::kTogetherMax keys at most.
  void FindInMemtables(std::span<const std::string_view> keys, uint64_t sequence,
                       const Memtable::Record** records) const;

  const std::vector<std::shared_ptr<Memtable>> memtables_;
  std::vector<TableRun> runs_;
};

}  // namespace replicad
