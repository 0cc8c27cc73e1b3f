// Binds checksums, batches and frames.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "base/crc32c.h"
#include "base/xxh64.h"
#include "bindings/module.h"
#include "bindings/module_bytes.h"
#include "bindings/module_inflight.h"
#include "log/apply.h"
#include "log/frame_scan.h"
#include "log/frame_writer.h"
#include "log/sync_thread.h"
#include "resp/write_group.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace replicad {
namespace {

uint32_t Checksum(const BytesLike& data, uint32_t value) {
  const auto view = data.view();
  return WithoutGilIf(view.size() > kReleaseGilBytes, [&] { return Crc32cExtend(value, view.data(), view.size()); });
}

uint64_t Hash(const BytesLike& data, uint64_t seed) {
  const auto view = data.view();
  return WithoutGilIf(view.size() > kReleaseGilBytes, [&] { return Xxh64(view, seed); });
}

void BindSyncThread(nb::module_& m) {
  nb::class_<SyncThread>(m, "SyncThread",
                         "Makes a file durable in a thread that is lent to it, without the interpreter; one sync at a "
                         "time, and none after one that failed.")
      .def(nb::init<int>(), "bell"_a, "`bell` is an eventfd, rung after each sync.")
      .def("begin", &SyncThread::Begin, "descriptor"_a,
           "Whether it began: not while another one runs, nor after a failure. The file stays open until it has ended.")
      .def_prop_ro("running", &SyncThread::running)
      .def_prop_ro("error", &SyncThread::error, "The errno of the sync that failed; 0 when none did.")
      .def(
          "wait",
          [](SyncThread& thread) {
            const InFlight in_flight;
            nb::gil_scoped_release released;
            thread.Wait();
          },
          "Returns when no sync runs.")
      .def(
          "serve",
          [](SyncThread& thread) {
            const InFlight in_flight;
            nb::gil_scoped_release released;
            thread.Serve();
          },
          "Lends the calling thread; returns after `close`.")
      .def(
          "close",
          [](SyncThread& thread) {
            const InFlight in_flight;
            nb::gil_scoped_release released;
            thread.Close();
          },
          "`serve` returns, after the sync that runs.");
}

// (kind, family, key, value), the layout of replicad.types.Operation; `leading` elements go before.
template <typename... Leading>
nb::tuple OperationTuple(const Operation& operation, Leading... leading) {
  const bool has_value =
      operation.tag != Tag::kDelete && operation.tag != Tag::kCreateFamily && operation.tag != Tag::kDropFamily;
  nb::object value = has_value ? nb::object(ToBytes(operation.value)) : nb::none();
  return nb::make_tuple(leading..., static_cast<int>(operation.tag), operation.family, ToBytes(operation.key), value);
}

nb::list DecodeBatch(const BytesLike& body) {
  nb::list operations;
  BatchReader reader(body.view());
  for (Operation operation; reader.Next(&operation);) operations.append(OperationTuple(operation));
  return operations;
}

void BindBatch(nb::module_& m) {
  nb::class_<Batch>(m, "Batch", "The encoded body of a batch being made. InvalidArgument comes before any change.")
      .def(nb::init<>())
      .def(
          "put",
          [](Batch& batch, const nb::bytes& key, const nb::bytes& value, uint32_t family) {
            batch.Put(family, View(key), View(value));
          },
          "key"_a, "value"_a, "family"_a = 0)
      .def(
          "delete", [](Batch& batch, const nb::bytes& key, uint32_t family) { batch.Delete(family, View(key)); },
          "key"_a, "family"_a = 0)
      .def(
          "put_log_data", [](Batch& batch, const nb::bytes& data) { batch.PutLogData(View(data)); }, "data"_a,
          "An annotation: it lives in the log only and takes no sequence number.")
      .def(
          "add_create_family",
          [](Batch& batch, uint32_t id, const nb::bytes& name) { batch.CreateFamily(id, View(name)); }, "id"_a,
          "name"_a)
      .def("add_drop_family", &Batch::DropFamily, "id"_a)
      .def(
          "add_epoch", [](Batch& batch, const nb::bytes& data) { batch.AddEpoch(View(data)); }, "data"_a,
          "An epoch record, 40 bytes.")
      .def(
          "add_mark", [](Batch& batch, const nb::bytes& data) { batch.AddMark(View(data)); }, "data"_a)
      .def(
          "append_data", [](Batch& batch, const BytesLike& body) { batch.Append(body.view()); }, "body"_a,
          "Adds the records of another body, which is decoded whole first; CorruptionError when it is not a body.")
      .def("clear", &Batch::Clear)
      .def_prop_ro(
          "count", [](const Batch& batch) { return batch.counts().operations; },
          "Operations; annotations are not counted.")
      .def_prop_ro("annotations", [](const Batch& batch) { return batch.counts().annotations; })
      .def_prop_ro(
          "has_control", [](const Batch& batch) { return batch.counts().has_control; },
          "Whether any operation changes the database and not an entry: families, epochs, marks.")
      .def_prop_ro(
          "size", [](const Batch& batch) { return batch.data().size(); }, "Bytes of the body.")
      .def_prop_ro(
          "data", [](const Batch& batch) { return ToBytes(batch.data()); }, "The body.")
      .def_static(
          "from_data",
          [](const BytesLike& body) {
            Batch batch;
            batch.Append(body.view());
            return batch;
          },
          "body"_a, "A batch with this body; see append_data.");
  m.def("decode_batch", &DecodeBatch, "body"_a,
        nb::sig("def decode_batch(body: bytes | bytearray | memoryview) -> "
                "list[tuple[int, int, bytes, bytes | None]]"),
        "(kind, family, key, value) of every record in the order put, laid out as replicad.types.Operation.");
}

void BindFrameWriter(nb::module_& m) {
  nb::class_<FrameWriter>(m, "FrameWriter",
                          "Numbers, stamps and chains frames, and keeps them until they are committed or rolled back.")
      .def(
          "__init__",
          [](FrameWriter* self, const nb::bytes& database_id, uint32_t epoch, uint64_t sequence, uint64_t history_hash,
             uint64_t commit_time_us) {
            new (self) FrameWriter(View(database_id), {epoch, sequence, history_hash, commit_time_us});
          },
          "database_id"_a, "epoch"_a, "sequence"_a, "history_hash"_a, "commit_time_us"_a = 0)
      .def(
          "add_put",
          [](FrameWriter& writer, const nb::bytes& key, const nb::bytes& value, uint32_t family, uint64_t now_us,
             uint64_t durable_sequence) {
            return writer.AddPut(family, View(key), View(value), now_us, durable_sequence);
          },
          "key"_a, "value"_a, "family"_a, "now_us"_a, "durable_sequence"_a,
          "One frame of one put; returns its sequence number.")
      .def(
          "add_delete",
          [](FrameWriter& writer, const nb::bytes& key, uint32_t family, uint64_t now_us, uint64_t durable_sequence) {
            return writer.AddDelete(family, View(key), now_us, durable_sequence);
          },
          "key"_a, "family"_a, "now_us"_a, "durable_sequence"_a)
      .def("add_batch", &FrameWriter::AddBatch, "batch"_a, "now_us"_a, "durable_sequence"_a,
           "One frame of a batch that is not empty; returns its last sequence number.")
      .def(
          "add_group",
          [](FrameWriter& writer, WriteGroup& group, uint64_t now_us, uint64_t durable_sequence) {
            return writer.AddFrames(group.frames(), now_us, durable_sequence);
          },
          "group"_a, "now_us"_a, "durable_sequence"_a,
          "The frames of a group of clients' batches; returns the last sequence number. Nothing may be pending.")
      .def_prop_ro("pending_bytes", [](const FrameWriter& writer) { return writer.view().size(); })
      .def(
          "pending", [](const FrameWriter& writer) { return ToBytes(writer.view()); },
          "The frames to append to the log.")
      .def(
          "commit",
          [](FrameWriter& writer, MemtableSet& memtables) {
            writer.Commit(memtables);
            return memtables.memory_bytes();
          },
          "memtables"_a,
          "Applies the pending frames to the memtables and forgets them. Control operations are skipped. Returns the "
          "memtables' memory_bytes.")
      .def("rollback", &FrameWriter::Rollback, "Forgets the pending frames: the position is that before them.")
      .def("start_epoch", &FrameWriter::StartEpoch, "epoch"_a, "Frames from now on carry it. Nothing may be pending.")
      .def(
          "reset",
          [](FrameWriter& writer, uint32_t epoch, uint64_t sequence, uint64_t history_hash, uint64_t commit_time_us) {
            writer.Reset({epoch, sequence, history_hash, commit_time_us});
          },
          "epoch"_a, "sequence"_a, "history_hash"_a, "commit_time_us"_a,
          "Goes on after frames that came from elsewhere. Nothing may be pending.")
      .def_prop_ro("epoch", &FrameWriter::epoch, "Of the next frame.")
      .def_prop_ro(
          "sequence", [](const FrameWriter& writer) { return writer.position().sequence; },
          "Of the last frame, pending ones included.")
      .def_prop_ro("history_hash", [](const FrameWriter& writer) { return writer.position().history_hash; })
      .def_prop_ro("commit_time_us", [](const FrameWriter& writer) { return writer.position().commit_time_us; })
      .def_prop_ro(
          "written",
          [](const FrameWriter& writer) {
            return nb::make_tuple(writer.epoch(), writer.written().sequence, writer.written().history_hash);
          },
          nb::sig("def written(self) -> tuple[int, int, int]"),
          "(epoch, sequence, history_hash) after the last frame that was committed, all of one moment; the epoch is "
          "that of "
          "the next frame.");
}

FrameScan Scan(const BytesLike& data, const nb::bytes& database_id, uint32_t epoch, uint64_t sequence,
               uint64_t history_hash, uint64_t stop_sequence, bool check_chain, bool check_body, uint64_t max_frames) {
  const std::string_view id = View(database_id);
  return WithoutGilIf(data.view().size() > kReleaseGilBytes, [&] {
    return ScanFrames(data.view(), id, {epoch, sequence, history_hash, 0},
                      {stop_sequence, max_frames, check_chain, check_body});
  });
}

void BindFrameScan(nb::module_& m) {
  nb::class_<FrameScan>(m, "FrameScan", "How far a stretch of the log is good, and why the scan stopped there.")
      .def_ro("end", &FrameScan::end, "Bytes consumed: whole, good frames only.")
      .def_ro("frames", &FrameScan::frames)
      .def_ro("operations", &FrameScan::operations)
      .def_ro("first_sequence", &FrameScan::first_sequence, "Of the first frame; 0 when there is none.")
      .def_prop_ro(
          "last_sequence", [](const FrameScan& scan) { return scan.last.sequence; },
          "Of the last frame, as are epoch and history_hash; what was given when there is none.")
      .def_prop_ro("epoch", [](const FrameScan& scan) { return scan.last.epoch; })
      .def_prop_ro("history_hash", [](const FrameScan& scan) { return scan.last.history_hash; })
      .def_prop_ro(
          "commit_time_us", [](const FrameScan& scan) { return scan.last.commit_time_us; },
          "Of the last frame; 0 when there is none.")
      .def_ro("durable_sequence", &FrameScan::durable_sequence, "The greatest in any header; 0 when there is none.")
      .def_prop_ro(
          "stop", [](const FrameScan& scan) { return static_cast<int>(scan.stop); }, "One of SCAN_….")
      .def_ro("reason", &FrameScan::reason, "What is wrong with the frame at end; empty when nothing is.");
  m.def("scan_frames", &Scan, "data"_a, "database_id"_a, "epoch"_a, "sequence"_a, "history_hash"_a, nb::kw_only(),
        "stop_sequence"_a = UINT64_MAX, "check_chain"_a = true, "check_body"_a = true, "max_frames"_a = 0,
        "Checks frame after frame, the first of which follows the given position. Without check_chain the first may "
        "stand anywhere and no hash is looked at; without check_body only headers are vouched for.");
  m.def(
      "find_frame_header",
      [](const BytesLike& data, const nb::bytes& database_id) {
        const std::string_view id = View(database_id);
        return WithoutGilIf(data.view().size() > kReleaseGilBytes,
                            [&] { return static_cast<int64_t>(FindFrameHeader(data.view(), id)); });
      },
      "data"_a, "database_id"_a,
      "Offset of the first frame header that can be recognised, wherever it stands, or -1: how frames are found again "
      "behind damage. They prove nothing but their durable sequence number.");
  m.attr("SCAN_END") = static_cast<int>(ScanStop::kEnd);
  m.attr("SCAN_PARTIAL") = static_cast<int>(ScanStop::kPartial);
  m.attr("SCAN_LIMIT") = static_cast<int>(ScanStop::kLimit);
  m.attr("SCAN_BAD_HEADER") = static_cast<int>(ScanStop::kBadHeader);
  m.attr("SCAN_BAD_BODY") = static_cast<int>(ScanStop::kBadBody);
  m.attr("SCAN_BAD_CHAIN") = static_cast<int>(ScanStop::kBadChain);
  m.attr("SCAN_NEWER") = static_cast<int>(ScanStop::kNewer);
}

FrameHeader DecodeFrameHeader(const BytesLike& data, size_t offset) {
  const std::string_view view = data.view();
  if (offset > view.size() || view.size() - offset < kFrameHeaderBytes) {
    throw Corruption("frame header runs past the end", offset);
  }
  return LoadFrameHeader(view.data() + offset);
}

void BindFrameHeader(nb::module_& m) {
  nb::class_<FrameHeader>(m, "FrameHeader", "The header of a frame (proto/log.md), decoded. Immutable.")
      .def_static("decode", &DecodeFrameHeader, "data"_a, "offset"_a = 0,
                  "Reads the FRAME_HEADER_BYTES bytes at offset and checks none of them: scan_frames and "
                  "find_frame_header do that. CorruptionError when there are fewer.")
      .def_prop_ro("size", &FrameHeader::FrameBytes, "Bytes of the whole frame: header and body.")
      .def_ro("body_length", &FrameHeader::body_length)
      .def_ro("epoch", &FrameHeader::epoch)
      .def_ro("operation_count", &FrameHeader::operation_count, "Annotations are not counted.")
      .def_ro("first_sequence", &FrameHeader::first_sequence)
      .def_prop_ro("last_sequence", &FrameHeader::LastSequence,
                   "A frame of annotations alone takes one sequence number, too.")
      .def_ro("durable_sequence", &FrameHeader::durable_sequence,
              "How far the writer's log was durable when it wrote this frame.")
      .def_ro("commit_time_us", &FrameHeader::commit_time_us, "Microseconds since 1970-01-01 UTC.")
      .def_ro("history_hash", &FrameHeader::history_hash, "After this frame.");
  m.attr("FRAME_HEADER_BYTES") = kFrameHeaderBytes;
}

nb::list ListFrames(const BytesLike& data) {
  nb::list frames;
  for (FrameReader reader(data.view(), 0); reader.Next();) {
    const FrameHeader& header = reader.header();
    frames.append(nb::make_tuple(header.epoch, header.first_sequence, header.operation_count, header.commit_time_us,
                                 header.history_hash, reader.body_start(), reader.offset()));
  }
  return frames;
}

// What a receiver of frames wants to know before it appends them. They were scanned before.
struct Inspection {
  uint64_t commit_time_us = 0;    // the greatest
  uint64_t durable_sequence = 0;  // the greatest
  uint64_t last_sequence = 0;
  nb::list controls;
};

Inspection Inspect(const BytesLike& frames) {
  Inspection found;
  for (FrameReader frame(frames.view(), 0); frame.Next();) {
    const FrameHeader& header = frame.header();
    found.commit_time_us = std::max(found.commit_time_us, header.commit_time_us);
    found.durable_sequence = std::max(found.durable_sequence, header.durable_sequence);
    found.last_sequence = header.LastSequence();
    uint64_t sequence = header.first_sequence;
    BatchReader reader(frame.body(), frame.body_start());
    for (Operation operation; reader.Next(&operation);) {
      if (operation.IsAnnotation()) continue;
      if (operation.IsControl()) found.controls.append(OperationTuple(operation, sequence));
      ++sequence;
    }
  }
  return found;
}

nb::tuple Apply(const BytesLike& frames, MemtableSet& memtables, size_t offset) {
  std::vector<NumberedOperation> controls;
  const size_t next = ApplyFrames(frames.view(), offset, memtables, &controls);
  nb::list operations;
  for (const auto& [sequence, operation] : controls) operations.append(OperationTuple(operation, sequence));
  return nb::make_tuple(next, operations);
}

}  // namespace

void bind_log(nb::module_& m) {
  m.def("crc32c", &Checksum, "data"_a, "value"_a = 0, "CRC-32C; crc32c(b, crc32c(a)) == crc32c(a + b).");
  m.def("xxh64", &Hash, "data"_a, "seed"_a = 0, "XXH64.");
  BindBatch(m);
  BindFrameWriter(m);
  BindFrameHeader(m);
  BindFrameScan(m);
  BindSyncThread(m);
  m.def("list_frames", &ListFrames, "data"_a,
        nb::sig("def list_frames(data: bytes | bytearray | memoryview) -> "
                "list[tuple[int, int, int, int, int, int, int]]"),
        "(epoch, first_sequence, operation_count, commit_time_us, history_hash, body_start, body_end) of each of these "
        "whole frames, which were scanned before.");
  nb::class_<Inspection>(m, "Inspection", "What frames say beside their entries.")
      .def_ro("commit_time_us", &Inspection::commit_time_us, "The greatest.")
      .def_ro("durable_sequence", &Inspection::durable_sequence, "The greatest.")
      .def_ro("last_sequence", &Inspection::last_sequence)
      .def_prop_ro(
          "controls", [](const Inspection& found) { return found.controls; },
          nb::sig("def controls(self) -> list[tuple[int, int, int, bytes, bytes | None]]"),
          "Control operations as (sequence, kind, family, key, value), in order.");
  m.def("inspect_frames", &Inspect, "frames"_a, "Of whole frames that were scanned before; applies nothing.");
  m.def("apply_frames", &Apply, "frames"_a, "memtables"_a, "offset"_a = 0,
        nb::sig("def apply_frames(frames: bytes | bytearray | memoryview, memtables: MemtableSet, offset: int = 0) -> "
                "tuple[int, list[tuple[int, int, int, bytes, bytes | None]]]"),
        "Applies scanned frames from offset on, through the first that holds control operations. Returns the offset to "
        "go on from, and those operations as (sequence, kind, family, key, value).");
}

}  // namespace replicad
