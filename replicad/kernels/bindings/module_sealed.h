// What Python hands from a file to a merge, and from a merge to a file. Part of the bindings.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "table/sealed_block.h"

namespace replicad {

// Raw data blocks of a table.
struct OpenedBlocks {
  std::vector<OpenedBlock> blocks;
};

// A sealer as Python sees it: one call at a time, checked, because some let other threads go on.
class PySealer {
 public:
  PySealer(std::string_view table_id, bool compress) : sealer_(table_id, compress) {}

  // The sealer, when nobody else is using it.
  BlockSealer& Idle() {
    if (busy_) throw Busy("the sealer is at work for another thread");
    return sealer_;
  }
  // Refuses other calls while it lives.
  class Use {
   public:
    explicit Use(PySealer& sealer) : sealer(sealer.Idle()), busy_(sealer.busy_) { busy_ = true; }
    Use(const Use&) = delete;
    ~Use() { busy_ = false; }
    BlockSealer& sealer;

   private:
    bool& busy_;
  };

 private:
  BlockSealer sealer_;
  bool busy_ = false;
};

}  // namespace replicad
