// Binds Appender: a write as one step.
//
// A Python exception may arrive at any bytecode of the caller (a signal's handler that raises), so numbers, log, file
// size, memtables and progress must not change in different bytecodes. Here they change within one call: lock, number,
// append, insert, tell, unlock. What needs a decision in Python (a new segment, a full memtable, a failed append, a
// refusal) is left to the caller, before or after the step, and the next step finds out by itself if nobody decided.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>

#include <algorithm>
#include <optional>

#include "base/errors.h"
#include "bindings/module.h"
#include "bindings/module_attribute.h"
#include "bindings/module_bytes.h"
#include "bindings/module_inflight.h"
#include "log/frame_writer.h"
#include "resp/write_group.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

// The store's write lock: a Python RLock, since Python code takes it, too.
class WriteLock {
 public:
  explicit WriteLock(nb::object lock)
      : acquire_(lock.attr("acquire")), release_(lock.attr("release")), is_owned_(lock.attr("_is_owned")) {}

  // Held while it lives. Acquiring may raise (a signal's handler); then it is not held.
  class Held {
   public:
    explicit Held(const WriteLock& lock) : lock_(lock) {
      // The lock is reentrant, so that this can be told from waiting for ever for oneself.
      if (Called(lock.is_owned_).is(Py_True)) {
        throw Busy("written from within a write of the same thread: by a finalizer, a listener or a signal's handler");
      }
      Called(lock.acquire_);
    }
    Held(const Held&) = delete;
    ~Held() {
      PyObject* done = PyObject_CallNoArgs(lock_.release_.ptr());
      if (done == nullptr) {
        PyErr_WriteUnraisable(lock_.release_.ptr());
      } else {
        Py_DECREF(done);
      }
    }

   private:
    const WriteLock& lock_;
  };

  int Traverse(visitproc visit, void* arg) const {
    for (const nb::object* each : {&acquire_, &release_, &is_owned_}) Py_VISIT(each->ptr());
    return 0;
  }

 private:
  nb::object acquire_, release_, is_owned_;
};

class Appender {
 public:
  Appender(nb::object frames, nb::object memtables, nb::object lock, nb::object log, nb::object progress,
           nb::object wall_ns, uint64_t segment_bytes, uint64_t memtable_bytes)
      : frames_object_(std::move(frames)),
        memtables_object_(std::move(memtables)),
        lock_(std::move(lock)),
        log_(std::move(log)),
        progress_(std::move(progress)),
        wall_ns_(std::move(wall_ns)),
        frames_(nb::cast<FrameWriter&>(frames_object_)),
        memtables_(nb::cast<MemtableSet&>(memtables_object_)),
        segment_bytes_(segment_bytes),
        memtable_bytes_(memtable_bytes) {}

  // Each of these returns None, with nothing changed, when there is something to decide first.

  nb::object Put(const nb::bytes& key, const nb::bytes& value, uint32_t family, uint64_t durable) {
    uint64_t sequence;
    bool due;
    const InFlight in_flight;
    {
      const WriteLock::Held held(lock_);
      Memtable* memtable = memtables_.Find(family);
      const nb::object file = File();
      if (memtable == nullptr || file.is_none()) return nb::none();
      const std::optional<uint64_t> now_us = NowUs();
      if (!now_us) return nb::none();
      sequence = frames_.AddPut(family, View(key), View(value), *now_us, durable);
      memtable->Prefetch(View(key));  // What the insertion will search comes from memory while the system writes.
      due = Append(file, sequence);
    }
    return nb::make_tuple(sequence, due);
  }

  nb::object Delete(const nb::bytes& key, uint32_t family, uint64_t durable) {
    uint64_t sequence;
    bool due;
    const InFlight in_flight;
    {
      const WriteLock::Held held(lock_);
      const nb::object file = File();
      if (memtables_.Find(family) == nullptr || file.is_none()) return nb::none();
      const std::optional<uint64_t> now_us = NowUs();
      if (!now_us) return nb::none();
      sequence = frames_.AddDelete(family, View(key), *now_us, durable);
      due = Append(file, sequence);
    }
    return nb::make_tuple(sequence, due);
  }

  nb::object Write(nb::sequence items, uint64_t durable, std::optional<uint64_t> at, nb::object check) {
    uint64_t first;
    uint64_t last = 0;
    bool due;
    const InFlight in_flight;
    {
      const WriteLock::Held held(lock_);
      const nb::object file = File();
      if (file.is_none() || (at && *at != frames_.position().sequence)) return nb::none();
      if (!check.is_none()) check();
      first = frames_.position().sequence + 1;
      const std::optional<uint64_t> now = NowUs();
      if (!now) return nb::none();
      const uint64_t now_us = *now;
      try {
        for (nb::handle item : items) {
          if (nb::isinstance<nb::tuple>(item)) {
            last = frames_.AddPut(0, View(nb::cast<nb::bytes>(item[0])), View(nb::cast<nb::bytes>(item[1])), now_us,
                                  durable);
            continue;
          }
          const Batch& batch = nb::cast<const Batch&>(item);
          if (batch.counts().has_control || memtables_.UnknownFamily(batch)) {
            frames_.Rollback();
            return nb::none();
          }
          last = frames_.AddBatch(batch, now_us, durable);
        }
      } catch (...) {
        frames_.Rollback();
        throw;
      }
      if (frames_.view().empty()) return nb::make_tuple(first, frames_.position().sequence, false);
      due = Append(file, last);
    }
    return nb::make_tuple(first, last, due);
  }

  // As Write, of a group of clients, which is empty afterwards but for its queues: the caller settles them.
  nb::object AppendGroup(WriteGroup& group, uint64_t durable) {
    uint64_t last;
    bool due;
    const InFlight in_flight;
    {
      const WriteLock::Held held(lock_);
      const nb::object file = File();
      if (file.is_none() || group.UnknownFamily(memtables_)) return nb::none();
      const std::optional<uint64_t> now_us = NowUs();
      if (!now_us) return nb::none();
      last = frames_.AddFrames(group.frames(), *now_us, durable);
      due = Append(file, last);
    }
    return nb::make_tuple(last, due);
  }

  // (whether an append left something undone, what it raised or None, whether the memtables lack it), forgotten by
  // this.
  nb::tuple TakeFailure() {
    const nb::tuple failure =
        nb::make_tuple(failed_, failure_.get().is_valid() ? failure_.get() : nb::none(), half_inserted_);
    failed_ = half_inserted_ = false;
    failure_.Drop();
    return failure;
  }

  // While the wall clock shows a time within these, commits get what it shows less `ahead_us`. Without a judgement that
  // covers what it shows, nothing is written.
  void Believe(uint64_t from_us, uint64_t through_us, uint64_t ahead_us) {
    time_from_us_ = from_us;
    time_through_us_ = through_us;
    time_ahead_us_ = ahead_us;
  }

  bool failed() const { return failed_; }

  bool takes = true;

  int Traverse(visitproc visit, void* arg) {
    Py_VISIT(wall_ns_.ptr());
    for (const Kept* each : {&log_, &progress_, &failure_}) Py_VISIT(each->ptr());
    return lock_.Traverse(visit, arg);
  }

 private:
  // The live segment's, or None when a write must wait for a decision.
  nb::object File() const {
    if (!takes || failed_ || ended_.IsTrueOf(progress_.get())) return nb::none();
    return live_file_.Of(log_.get());
  }

  // The time of a commit now, or nothing when the wall clock has to be judged first.
  std::optional<uint64_t> NowUs() const {
    const uint64_t wall_us = nb::cast<uint64_t>(Called(wall_ns_)) / 1000;
    if (wall_us < time_from_us_ || wall_us > time_through_us_) return std::nullopt;
    return wall_us - time_ahead_us_;
  }

  // Appends what is pending, inserts it and reports it; whether the segment or the memtables are full now.
  bool Append(const nb::object& file, uint64_t sequence) {
    const size_t bytes = frames_.view().size();
    try {
      const nb::object write = write_.Of(file);
      for (size_t written = 0; written < bytes;) {
        written += nb::cast<size_t>(write(ToBytes(frames_.view().substr(written))));
      }
    } catch (nb::python_error& error) {
      frames_.Rollback();
      failed_ = true;
      failure_.Set(nb::borrow(error.value()));
      throw;
    } catch (...) {
      frames_.Rollback();
      failed_ = true;
      throw;
    }
    try {
      frames_.Commit(memtables_);
      const uint64_t size = nb::cast<uint64_t>(size_.Of(file)) + bytes;
      size_.Set(file, size);
      appended_.Set(progress_.get(), sequence);
      if (!visible_when_durable_.IsTrueOf(progress_.get())) visible_.Set(progress_.get(), sequence);
      return size >= segment_bytes_ || memtables_.memory_bytes() >= memtable_bytes_;
    } catch (...) {
      // Out of memory: it is in the log, and not everywhere else.
      failed_ = half_inserted_ = true;
      throw;
    }
  }

  nb::object frames_object_, memtables_object_;
  WriteLock lock_;
  Kept log_, progress_;
  nb::object wall_ns_;
  const Name ended_{"ended"}, live_file_{"live_file"}, write_{"write"}, size_{"size"}, appended_{"appended"},
      visible_{"visible"}, visible_when_durable_{"visible_when_durable"};
  FrameWriter& frames_;
  MemtableSet& memtables_;
  const uint64_t segment_bytes_, memtable_bytes_;

  uint64_t time_from_us_ = 1, time_through_us_ = 0, time_ahead_us_ = 0;
  bool failed_ = false;
  bool half_inserted_ = false;
  Kept failure_;
};

int TraverseAppender(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return nb::inst_ready(self) ? nb::inst_ptr<Appender>(self)->Traverse(visit, arg) : 0;
}

PyType_Slot appender_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseAppender)}, {0, nullptr}};

}  // namespace

void bind_append(nb::module_& m) {
  nb::class_<Appender>(
      m, "Appender", nb::type_slots(appender_slots),
      "Writes: each method numbers, appends, inserts and tells in one step under the write lock, which no exception "
      "can "
      "split. It returns None, with nothing changed, when the caller has something to decide first. What the file's "
      "write raises comes out, with the position as it was; until take_failure every method returns None then.")
      .def(nb::init<nb::object, nb::object, nb::object, nb::object, nb::object, nb::object, uint64_t, uint64_t>(),
           "frames"_a, "memtables"_a, "lock"_a, "log"_a, "progress"_a, "wall_ns"_a, "segment_bytes"_a,
           "memtable_bytes"_a)
      .def("put", &Appender::Put, "key"_a, "value"_a, "family"_a, "durable_sequence"_a,
           nb::sig("def put(self, key: bytes, value: bytes, family: int, durable_sequence: int) "
                   "-> tuple[int, bool] | None"),
           "(sequence number, whether the segment or the memtables are full now).")
      .def("delete", &Appender::Delete, "key"_a, "family"_a, "durable_sequence"_a,
           nb::sig("def delete(self, key: bytes, family: int, durable_sequence: int) -> tuple[int, bool] | None"))
      .def("write", &Appender::Write, "items"_a, "durable_sequence"_a, "at"_a = nb::none(),
           "check"_a.none() = nb::none(),
           nb::sig(
               "def write(self, items: collections.abc.Sequence[Batch | tuple[bytes, bytes]], durable_sequence: int, "
               "at: int | None = None, check: collections.abc.Callable[[], None] | None = None) "
               "-> tuple[int, int, bool] | None"),
           "(first, last sequence number, whether full) of batches and of (key, value) for the default family, each in "
           "a "
           "frame of its own, with one write. With `at` only when that is the last sequence number. `check` is called "
           "before anything is done, under the lock; what it raises comes out.")
      .def("append_group", &Appender::AppendGroup, "group"_a, "durable_sequence"_a,
           nb::sig("def append_group(self, group: WriteGroup, durable_sequence: int) -> tuple[int, bool] | None"),
           "(last sequence number, whether full) of a group of clients' batches, with one write. The group is settled "
           "by "
           "the caller, who knows what its clients are told.")
      .def(
          "take_failure", &Appender::TakeFailure,
          nb::sig("def take_failure(self) -> tuple[bool, BaseException | None, bool]"),
          "(whether an append failed, what it raised, whether the memtables lack what the log has); forgotten by this.")
      .def("believe", &Appender::Believe, "from_us"_a, "through_us"_a, "ahead_us"_a,
           nb::sig("def believe(self, from_us: int, through_us: int, ahead_us: int) -> None"),
           "While the wall clock shows a time from the one through the other, in microseconds, commits get it less "
           "`ahead_us`; at any other time every method returns None.")
      .def_prop_ro("failed", &Appender::failed, "Whether take_failure has something to take.")
      .def_rw("takes", &Appender::takes, "Whether writes are taken at all; set under the lock.");
}

}  // namespace replicad
