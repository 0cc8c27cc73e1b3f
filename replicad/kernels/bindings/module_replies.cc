// Binds the queues of replies and the open write group of clients.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "bindings/module_callable.h"
#include "log/frame_writer.h"
#include "resp/reply_queue.h"
#include "resp/write_group.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

int TraverseGroup(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (nb::inst_ready(self)) Py_VISIT(nb::inst_ptr<WriteGroup>(self)->begun().target<Callable>()->ptr());
  return 0;
}

int TraverseHeld(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (nb::inst_ready(self)) Py_VISIT(nb::inst_ptr<HeldQueues>(self)->now().target<PyClock>()->function.ptr());
  return 0;
}

int TraverseQueue(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (nb::inst_ready(self)) Py_VISIT(nb::find(&nb::inst_ptr<ReplyQueue>(self)->holding()).ptr());
  return 0;
}

PyType_Slot held_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseHeld)}, {0, nullptr}};
PyType_Slot queue_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseQueue)}, {0, nullptr}};
PyType_Slot group_slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(TraverseGroup)}, {0, nullptr}};

nb::bytes Take(ReplyQueue& queue) {
  nb::bytes ready = ToBytes(queue.ready());
  queue.Sent(ready.size());
  return ready;
}

// A key among all families: the key itself in the default one, else (family, key).
nb::object NameOf(const Operation& operation) {
  nb::bytes key = ToBytes(operation.key);
  if (operation.family == 0) return key;
  return nb::make_tuple(operation.family, key);
}

nb::object ValueOf(const Operation& operation) {
  if (operation.tag == Tag::kDelete) return nb::none();
  return ToBytes(operation.value);
}

nb::tuple Lookup(WriteGroup& group, const nb::bytes& key, uint32_t family) {
  const std::optional<Operation> found = group.Find(family, View(key));
  if (!found) return nb::make_tuple();
  return nb::make_tuple(ValueOf(*found));
}

nb::dict Changes(WriteGroup& group) {
  nb::dict changes;
  group.EachChange([&](const Operation& operation) { changes[NameOf(operation)] = ValueOf(operation); });
  return changes;
}

void BindQueues(nb::module_& m) {
  nb::class_<HeldQueues>(m, "HeldQueues", nb::type_slots(held_slots),
                         "All queues of a server that hold replies back, in order.")
      .def(
          "__init__",
          [](HeldQueues* self, nb::object now) { new (self) HeldQueues(PyClock{Callable(std::move(now))}); }, "now"_a,
          nb::sig("def __init__(self, now: collections.abc.Callable[[], float]) -> None"))
      .def("__len__", &HeldQueues::size)
      .def(
          "release", &HeldQueues::Release, "visible"_a, "released"_a, nb::rv_policy::reference,
          nb::sig("def release(self, visible: int, released: int) -> list[ReplyQueue]"),
          "Makes ready what is visible or, where it waits for replicas, `released`; the queues that have more to send.")
      .def(
          "fail", [](HeldQueues& queues, const nb::bytes& reply) { return queues.FailAll(View(reply)); }, "reply"_a,
          nb::rv_policy::reference, nb::sig("def fail(self, reply: bytes) -> list[ReplyQueue]"),
          "Answers all that is held and was not refused before, and makes it ready.")
      .def("late", &HeldQueues::Late, "visible"_a, "before"_a,
           nb::sig("def late(self, visible: int, before: float) -> list[int]"),
           "The sequence numbers that are visible and have waited for replicas since before that time.")
      .def(
          "fail_late",
          [](HeldQueues& queues, uint64_t sequence, double before, const nb::bytes& reply) {
            queues.FailLate(sequence, before, View(reply));
          },
          "sequence"_a, "before"_a, "reply"_a, "Answers what `late` found at this number; the next release sends it.");

  nb::class_<ReplyQueue>(m, "ReplyQueue", nb::type_slots(queue_slots),
                         "One client's replies in order: those that are ready, and behind them those that wait.")
      .def(nb::init<HeldQueues&>(), "holding"_a, nb::keep_alive<1, 2>(),
           nb::sig("def __init__(self, holding: HeldQueues) -> None"))
      .def(
          "append", [](ReplyQueue& queue, const nb::bytes& reply) { queue.Append(View(reply)); }, "reply"_a,
          "The next reply; it waits behind what is held.")
      .def("hold", &ReplyQueue::Hold, "sequence"_a, "visible"_a,
           "Keeps back the next reply, and all after it, until `sequence` is visible.")
      .def("hold_written", &ReplyQueue::HoldWritten, "sequence"_a,
           "Keeps back the next reply: it is of what was written just now, up to `sequence`.")
      .def("wait_for_replicas", &ReplyQueue::WaitForReplicas, "wanted"_a,
           "Whether writes from now on wait for the replicas that the rule asks for.")
      .def_prop_ro("waits_for_replicas", &ReplyQueue::waits_for_replicas)
      .def_prop_ro("holds", &ReplyQueue::holds, "Whether anything is held.")
      .def_prop_ro("held_bytes", &ReplyQueue::held_bytes)
      .def_prop_ro("ready_bytes", [](const ReplyQueue& queue) { return queue.ready().size(); })
      .def("take", &Take, "What is ready, which the caller sends.")
      .def("drop", &ReplyQueue::Drop, "The client is gone: nobody takes what is held.")
      .def_prop_ro("last_write", &ReplyQueue::last_write,
                   "Sequence number of the client's last write, once it is in the log.");
}

void BindGroup(nb::module_& m) {
  nb::class_<WriteGroup>(
      m, "WriteGroup", nb::type_slots(group_slots),
      "The batches that clients wrote since the last group went to the log, and the queues whose replies wait for it.")
      .def(
          "__init__",
          [](WriteGroup* self, nb::object begun, uint64_t seed) {
            new (self) WriteGroup(Callable(std::move(begun)), seed);
          },
          "begun"_a, "seed"_a,
          nb::sig("def __init__(self, begun: collections.abc.Callable[[], None], seed: int) -> None"),
          "`begun` is called before the first batch of each group; `seed` is one that no client knows.")
      .def(
          "put",
          [](WriteGroup& group, ReplyQueue& queue, const nb::bytes& key, const nb::bytes& value, uint32_t family) {
            group.Put(queue, family, View(key), View(value));
          },
          "queue"_a, "key"_a, "value"_a, "family"_a = 0, "A batch of one put; the queue's next reply answers it.")
      .def("add", &WriteGroup::Add, "queue"_a, "batch"_a, "A batch; the queue's next reply answers it.")
      .def("depend", &WriteGroup::Depend, "queue"_a,
           "The queue's next reply shows what the group writes: it waits for it, and fails with it.")
      .def("lookup", &Lookup, "key"_a, "family"_a = 0,
           nb::sig("def lookup(self, key: bytes, family: int = 0) -> tuple[()] | tuple[bytes | None]"),
           "(value,) that the group gives the key, (None,) when it deletes it, () when it leaves it alone.")
      .def("changes", &Changes, nb::sig("def changes(self) -> dict[bytes | tuple[int, bytes], bytes | None]"),
           "What `lookup` finds, of all keys that it changes.")
      .def("unknown_family", &WriteGroup::UnknownFamily, "memtables"_a,
           "The first family that the group writes to and that is not in the set, or None.")
      .def(
          "link",
          [](WriteGroup& group, std::vector<uint32_t> families, uint32_t stamps, uint32_t origins,
             const nb::bytes& origin) { group.stamps().Link(std::move(families), stamps, origins, View(origin)); },
          "families"_a, "stamps"_a, "origins"_a, "origin"_a,
          "From now on writes to these families get stamps, but for batches of `add`.")
      .def_prop_rw(
          "link_clock_us", [](WriteGroup& group) { return group.stamps().last_us; },
          [](WriteGroup& group, uint64_t value) { group.stamps().last_us = value; },
          "No stamp that is made from now on has this time or an earlier one.")
      .def_prop_rw(
          "link_now_us", [](WriteGroup& group) { return group.stamps().now_us; },
          [](WriteGroup& group, uint64_t value) { group.stamps().now_us = value; }, "The wall clock, for stamps.")
      .def_prop_rw(
          "link_seen_us", [](WriteGroup& group) { return group.stamps().seen_us; },
          [](WriteGroup& group, uint64_t value) { group.stamps().seen_us = value; },
          "Every write of other origins with this time or an earlier one is here.")
      .def_prop_ro("batches", &WriteGroup::batches)
      .def_prop_ro("size_bytes", &WriteGroup::size_bytes)
      .def("settle", &WriteGroup::Settle, "last"_a,
           "It is in the log, up to this sequence number: replies wait for that. Empties it.")
      .def(
          "fail", [](WriteGroup& group, const nb::bytes& reply) { group.Fail(View(reply)); }, "reply"_a,
          "Nothing of it was written, and `reply` says so. Empties it.");
}

}  // namespace

void bind_replies(nb::module_& m) {
  BindQueues(m);
  BindGroup(m);
}

}  // namespace replicad
