"""The C++ kernels: checksums, the order of frames and merges, requests, and what is held."""

from __future__ import annotations

from tests.teeth.mutation import Mutation

KERNELS = "replicad/kernels/"
SEALED = "tests/kernels/test_sealed_block.py::"
SCAN = "tests/kernels/test_frame_scan.py::"
IDENTITY = "tests/store/table/test_identity.py::test_a_block_in_another_place_is_damage"

COMPILED = (
    # 4: what a checksum is for
    Mutation(
        trap=4,
        name="a frame whose body is damaged is taken",
        file=f"{KERNELS}log/frame_scan.cc",
        old="    if (crc != header_.body_crc) {\n",
        new="    if (false) {\n",
        caught_by=(f"{SCAN}test_every_flipped_byte_is_found",),
    ),
    # 7: which table, and which place in it
    Mutation(
        trap=7,
        name="a block's checksum says nothing of its table",
        file=f"{KERNELS}table/sealed_block.cc",
        old="Crc32cExtend(Crc32c(table_id), place, sizeof place)",
        new="Crc32cExtend(0, place, sizeof place)",
        caught_by=(IDENTITY,),
    ),
    Mutation(
        trap=7,
        name="a block's checksum says nothing of its place",
        file=f"{KERNELS}table/sealed_block.cc",
        old="Crc32cExtend(Crc32c(table_id), place, sizeof place)",
        new="Crc32c(table_id)",
        caught_by=(IDENTITY,),
    ),
    # 9: nothing leaves before it may
    Mutation(
        trap=9,
        name="a reply of the kernel waits for nothing",
        file=f"{KERNELS}resp/reply_queue.cc",
        old="  if (segments_.empty() ? sequence <= visible : segments_.back()",
        new="  if (true || segments_.empty() ? true : segments_.back()",
        caught_by=(
            "tests/server/test_visibility.py::test_a_condition_is_evaluated_against_the_newest_state",
        ),
    ),
    # 11: frames follow each other, and one history
    Mutation(
        trap=11,
        name="a frame that is missing is passed over",
        file=f"{KERNELS}log/frame_scan.cc",
        old="    if (header_.first_sequence != scan_.last.sequence + 1) {\n",
        new="    if (header_.first_sequence < scan_.last.sequence + 1) {\n",
        caught_by=(f"{SCAN}test_a_missing_frame_is_found_without_the_chain",),
    ),
    Mutation(
        trap=11,
        name="the history hash of a frame is not computed again",
        file=f"{KERNELS}log/frame_scan.cc",
        old="    if (hash == header_.history_hash) return true;\n",
        new="    if (hash != 0) return true;\n",
        caught_by=(f"{SCAN}test_frames_must_follow_the_position",),
    ),
    # 16: what bytes say of themselves
    Mutation(
        trap=16,
        name="a block whose checksum is wrong is read",
        file=f"{KERNELS}table/sealed_block.cc",
        old="  if (actual != stored) Refuse(",
        new="  if (false) Refuse(",
        caught_by=(f"{SEALED}test_any_change_is_found",),
    ),
    Mutation(
        trap=16,
        name="a block that decompresses to less is filled up",
        file=f"{KERNELS}table/lz4.cc",
        old="  return length >= 0 && static_cast<uint32_t>(length) == raw_length;\n",
        new="  return length >= 0;\n",
        caught_by=(f"{SEALED}test_a_block_of_another_length_is_refused",),
    ),
    Mutation(
        trap=16,
        name="a request of any length is taken",
        file=f"{KERNELS}resp/request_parser.cc",
        old="  if (request_bytes_ > limits_.request_bytes_max || at_ + bulk_bytes_ > kPlaceMax)\n",
        new="  if (at_ + bulk_bytes_ > kPlaceMax)\n",
        caught_by=("tests/server/test_requests.py",),
    ),
    # 22: order that a merge must find
    Mutation(
        trap=22,
        name="a merge takes entries out of order",
        file=f"{KERNELS}merge/merger.cc",
        old="    if (order < 0 || (order == 0 && entry.trailer > trailer_)) {\n",
        new="    if (order == 0 && entry.trailer > trailer_) {\n",
        caught_by=("tests/kernels/test_merger.py::test_entries_out_of_order_are_corruption",),
    ),
    Mutation(
        trap=22,
        name="a merge lets a deletion go that a snapshot looks behind",
        file=f"{KERNELS}merge/merger.cc",
        old="    return !snapshots.empty() && snapshots.front() < sequence;\n",
        new="    return false;\n",
        caught_by=("tests/kernels/test_merger.py::test_readers_see_the_same_after_a_merge",),
    ),
    # 25: a turn that ends
    Mutation(
        trap=25,
        name="a turn of the kernel goes on whatever it has read",
        file=f"{KERNELS}resp/executor.cc",
        old="  seen_bytes_ += found->value.size();\n",
        new="",
        caught_by=("tests/server/test_sockets.py::test_large_values_of_one_pipeline_take_several_turns",),
    ),
)
