// The parts of the module; each binds the kernels of one group.
#pragma once

#include <nanobind/nanobind.h>

namespace replicad {

void bind_memtable(nanobind::module_& m);
void bind_log(nanobind::module_& m);      // checksums, batches, frames
void bind_append(nanobind::module_& m);   // writes
void bind_table(nanobind::module_& m);    // blocks, block cache, tables
void bind_sealed(nanobind::module_& m);   // blocks as they lie in files
void bind_read(nanobind::module_& m);     // read views, scans
void bind_merge(nanobind::module_& m);    // flush and compaction
void bind_request(nanobind::module_& m);  // requests of clients
void bind_replies(nanobind::module_& m);  // queues of replies, write groups
void bind_engine(nanobind::module_& m);   // simple commands

}  // namespace replicad
