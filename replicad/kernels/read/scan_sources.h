// The sorted inputs of a scan: memtables, and runs of tables that do not overlap.
//
// Seek positions a source at its first entry within the bounds, in the direction of the scan; it and Advance return
// false when there is none. A source may go beyond the far bound; it only stops early where that saves reading a block.
#pragma once

#include "merge/merge_heap.h"
#include "read/scan.h"
#include "table/block.h"

namespace replicad {

class MemtableSource : public EntrySource {
 protected:
  explicit MemtableSource(const Memtable* memtable) : entry_(memtable) {}
  bool Take() {
    if (!entry_.Valid()) return false;
    key = entry_.key();
    trailer = entry_.trailer();
    value = entry_.value();
    return true;
  }
  MemtableIterator entry_;
};

class ForwardMemtableSource final : public MemtableSource {
 public:
  explicit ForwardMemtableSource(const Memtable* memtable) : MemtableSource(memtable) {}
  bool Seek(const ScanBounds& bounds, uint64_t sequence) {
    if (bounds.lower) {
      entry_.Seek(*bounds.lower, sequence);
    } else {
      entry_.SeekToFirst();
    }
    return Take();
  }
  bool Advance() override {
    entry_.Next();
    return Take();
  }
};

class ReverseMemtableSource final : public MemtableSource {
 public:
  explicit ReverseMemtableSource(const Memtable* memtable) : MemtableSource(memtable), memtable_(memtable) {}
  bool Seek(const ScanBounds& bounds);
  bool Advance() override {
    entry_.Prev();
    return Take();
  }

 private:
  const Memtable* memtable_;
};

class ForwardRunSource final : public EntrySource {
 public:
  ForwardRunSource(const TableRun& run, const ScanBounds& bounds, ScanBlocks& blocks)
      : run_(run), bounds_(bounds), blocks_(blocks) {}
  bool Seek(uint64_t bound);
  bool Advance() override;

 private:
  bool OpenNextBlock();
  bool Take();

  const TableRun& run_;
  const ScanBounds& bounds_;
  ScanBlocks& blocks_;
  size_t table_ = 0;
  uint32_t ordinal_ = 0;
  BlockReader reader_;
};

class ReverseRunSource final : public EntrySource {
 public:
  ReverseRunSource(const TableRun& run, const ScanBounds& bounds, ScanBlocks& blocks)
      : run_(run), bounds_(bounds), blocks_(blocks) {}
  bool Seek();
  bool Advance() override;

 private:
  bool OpenPreviousBlock();
  bool OpenLastBlock();  // of table_, if it may hold something within the bounds
  bool OpenBlock(uint32_t ordinal);
  bool Take();

  const TableRun& run_;
  const ScanBounds& bounds_;
  ScanBlocks& blocks_;
  size_t table_ = 0;
  uint32_t ordinal_ = 0;
  BlockReverseReader reader_;
};

}  // namespace replicad
