#include "read/scan_sources.h"

namespace replicad {

bool ReverseMemtableSource::Seek(const ScanBounds& bounds) {
  if (!bounds.upper) {
    entry_.SeekToLast();
    return Take();
  }
  entry_.Seek(*bounds.upper, kSequenceMax);  // the first entry that is not below the upper bound
  if (!entry_.Valid()) {
    entry_.SeekToLast();
    return Take();
  }
  return Advance();
}

bool ForwardRunSource::Seek(uint64_t bound) {
  table_ = bounds_.lower ? FindTable(run_, *bounds_.lower) : 0;
  if (table_ == run_.size()) return false;
  Table& table = *run_[table_];
  if (bounds_.upper && table.smallest() >= *bounds_.upper) return false;
  if (!bounds_.lower || *bounds_.lower <= table.smallest()) {
    block = blocks_.Read(table, 0);
    reader_.Open(block->view());
    return Take();
  }
  ordinal_ = table.index().Find(*bounds_.lower);
  if (ordinal_ == table.index().block_count()) {  // only when `largest` promises more than the index holds
    --ordinal_;
    return OpenNextBlock();
  }
  block = blocks_.Read(table, ordinal_);
  return reader_.Seek(block->view(), *bounds_.lower, bound) ? Take() : OpenNextBlock();
}

bool ForwardRunSource::Advance() { return reader_.Next() ? Take() : OpenNextBlock(); }

bool ForwardRunSource::OpenNextBlock() {
  const TableIndex& index = run_[table_]->index();
  if (ordinal_ + 1 < index.block_count()) {
    if (bounds_.upper && index.separator(ordinal_) >= *bounds_.upper) return false;
    ++ordinal_;
  } else {
    if (table_ + 1 == run_.size()) return false;
    if (bounds_.upper && run_[table_ + 1]->smallest() >= *bounds_.upper) return false;
    ++table_;
    ordinal_ = 0;
  }
  block = blocks_.Read(*run_[table_], ordinal_);
  reader_.Open(block->view());
  return Take();
}

bool ForwardRunSource::Take() {
  key = reader_.key();
  trailer = reader_.trailer();
  value = reader_.value();
  return true;
}

bool ReverseRunSource::Seek() {
  table_ = bounds_.upper ? FindTable(run_, *bounds_.upper) : run_.size();
  if (table_ == run_.size() || *bounds_.upper <= run_[table_]->smallest()) {
    if (table_ == 0) return false;
    --table_;
    return OpenLastBlock();
  }
  Table& table = *run_[table_];
  ordinal_ = table.index().Find(*bounds_.upper);
  if (ordinal_ == table.index().block_count()) return OpenLastBlock();
  // The first block that may hold the bound: what is below it ends here or earlier.
  block = blocks_.Read(table, ordinal_);
  return reader_.SeekBefore(block->view(), *bounds_.upper) ? Take() : OpenPreviousBlock();
}

bool ReverseRunSource::Advance() { return reader_.Prev() ? Take() : OpenPreviousBlock(); }

bool ReverseRunSource::OpenPreviousBlock() {
  if (ordinal_ == 0) {
    if (table_ == 0) return false;
    --table_;
    return OpenLastBlock();
  }
  if (bounds_.lower && run_[table_]->index().separator(ordinal_ - 1) < *bounds_.lower) return false;
  return OpenBlock(ordinal_ - 1);
}

bool ReverseRunSource::OpenLastBlock() {
  Table& table = *run_[table_];
  if (bounds_.lower && table.largest() < *bounds_.lower) return false;
  return OpenBlock(table.index().block_count() - 1);
}

bool ReverseRunSource::OpenBlock(uint32_t ordinal) {
  ordinal_ = ordinal;
  block = blocks_.Read(*run_[table_], ordinal);
  reader_.Open(block->view());
  return Take();
}

bool ReverseRunSource::Take() {
  key = reader_.key();
  trailer = reader_.trailer();
  value = reader_.value();
  return true;
}

}  // namespace replicad
