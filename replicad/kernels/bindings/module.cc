// The module replicad.kernels._kernels. Only the files named module* know Python: they bind the kernels and make
// Python exceptions of theirs.
#include "bindings/module.h"

#include <cerrno>
#include <chrono>
#include <exception>
#include <system_error>
#include <thread>

#include "base/errors.h"
#include "bindings/module_inflight.h"

namespace nb = nanobind;

namespace {

// Sets replicad.errors.<name>(reason[, offset=offset]) as the current Python error.
void SetError(const char* name, const char* reason, const uint64_t* offset) {
  const replicad::Counted counted;  // It runs Python code, and an unwinding would end in a handler of nanobind's.
  nb::object type = nb::module_::import_("replicad.errors").attr(name);
  nb::object error = offset != nullptr ? type(reason, nb::arg("offset") = *offset) : type(reason);
  PyErr_SetObject(type.ptr(), error.ptr());
}

void Translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const replicad::Corruption& error) {
    const uint64_t offset = error.offset();
    SetError("CorruptionError", error.what(), &offset);
  } catch (const replicad::LimitError& error) {
    SetError("InvalidArgument", error.what(), nullptr);
  } catch (const replicad::Closed& error) {
    SetError("ClosedError", error.what(), nullptr);
  } catch (const replicad::Busy& error) {
    SetError("StoreError", error.what(), nullptr);
  } catch (const std::system_error& error) {
    errno = error.code().value();
    PyErr_SetFromErrno(PyExc_OSError);
  }
}

}  // namespace

namespace {

// Whether all calls under way ended within the time.
bool Finish(double seconds) {
  replicad::Counted::ending = true;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (replicad::Counted::count > 0) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    nb::gil_scoped_release released;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

NB_MODULE(_kernels, m) {
  // A process that ends with a database open is not a bug of the bindings.
  nb::set_leak_warnings(false);
  m.doc() = "C++ kernels of replicad: codecs, memtable, read view, merge.";
  nb::register_exception_translator(Translate);
  m.def(
      "finish", &Finish, nb::arg("seconds"),
      "For the end of the interpreter: calls that let go of the GIL are refused from now on, with ClosedError. Returns "
      "whether those under way ended within the time.");
  m.def(
      "forked", [] { replicad::Counted::count = 0; },
      "For a child that was forked: the calls that were under way in other threads are none of its own.");
  replicad::bind_memtable(m);
  replicad::bind_log(m);
  replicad::bind_replies(m);
  replicad::bind_append(m);
  replicad::bind_sealed(m);
  replicad::bind_table(m);
  replicad::bind_read(m);
  replicad::bind_merge(m);
  replicad::bind_request(m);
  replicad::bind_engine(m);
}
