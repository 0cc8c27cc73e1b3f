// Binds the kernels of tables and reading.
#include "module.h"

namespace nb = nanobind;

namespace replicad {

void bind_table(nb::module_&) {}

}  // namespace replicad
