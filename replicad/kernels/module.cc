// The only file that knows Python: it binds the kernels to the module replicad.kernels._kernels.
#include <nanobind/nanobind.h>

namespace nb = nanobind;

NB_MODULE(_kernels, m) { m.doc() = "C++ kernels of replicad: codecs, memtable, read view, merge."; }
