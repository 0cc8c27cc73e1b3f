// The body of a batch (proto/batch.md): operations and annotations in the order put.
//
//   body      = { record }
//   record    = PUT family key value | DELETE family key | LOG_DATA bytes | CREATE_FAMILY id name | DROP_FAMILY id
//             | EPOCH bytes | MARK bytes
//   family,id = varint32          key, value, bytes, name = varint32 length, then that many bytes
//
// Every record but LOG_DATA is an operation and takes one sequence number. CREATE_FAMILY and what follows it are
// control operations: they change the database and not an entry of a family.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/cursor.h"

namespace replicad {

// On disk and on the wire, never renumbered.
enum class Tag : uint8_t {
  kPut = 1,
  kDelete = 2,
  kLogData = 3,
  kCreateFamily = 4,
  kDropFamily = 5,
  kEpoch = 6,
  kMark = 7,
};

inline constexpr uint32_t kKeyBytesMax = 64u << 10;
inline constexpr uint32_t kValueBytesMax = 64u << 20;
inline constexpr uint32_t kAnnotationBytesMax = 1u << 20;
inline constexpr uint32_t kBodyBytesMax = 128u << 20;
inline constexpr uint32_t kEpochRecordBytes = 40;

struct Operation {
  Tag tag;
  uint32_t family = 0;
  std::string_view key;    // the name of CREATE_FAMILY
  std::string_view value;  // the bytes of LOG_DATA, EPOCH and MARK

  bool IsAnnotation() const { return tag == Tag::kLogData; }
  bool IsControl() const { return tag >= Tag::kCreateFamily; }
};

// Walks a body. The views in operations point into it.
class BatchReader {
 public:
  explicit BatchReader(std::string_view body, uint64_t base = 0) : cursor_(body, base) {}

  // False at the end; throws Corruption for anything but a well-formed record.
  bool Next(Operation* operation);

 private:
  Cursor cursor_;
};

struct BatchCounts {
  uint32_t operations = 0;
  uint32_t annotations = 0;
  uint32_t family_max = 0;  // the greatest that a PUT or DELETE names
  bool has_control = false;
};

// Walks the whole body; throws Corruption.
BatchCounts ValidateBatch(std::string_view body, uint64_t base = 0);

// Encoding of the two operations that matter for speed, used by Batch and by the frame writer. The Check functions
// throw LimitError; the Put functions write exactly ...Size bytes.
void CheckKey(std::string_view key);
void CheckValue(std::string_view value);

inline size_t PutOperationSize(uint32_t family, std::string_view key, std::string_view value) {
  return 1 + VarintSize(family) + VarintSize(key.size()) + key.size() + VarintSize(value.size()) + value.size();
}
inline size_t DeleteOperationSize(uint32_t family, std::string_view key) {
  return 1 + VarintSize(family) + VarintSize(key.size()) + key.size();
}
inline char* PutDeleteOperation(char* to, uint32_t family, std::string_view key, Tag tag = Tag::kDelete) {
  *to++ = static_cast<char>(tag);
  to = PutVarint(to, family);
  return PutBytes(PutVarint(to, key.size()), key);
}
inline char* PutPutOperation(char* to, uint32_t family, std::string_view key, std::string_view value) {
  to = PutDeleteOperation(to, family, key, Tag::kPut);
  return PutBytes(PutVarint(to, value.size()), value);
}

// A body being made. Every call checks the limits first and throws LimitError before anything is changed.
class Batch {
 public:
  void Put(uint32_t family, std::string_view key, std::string_view value);
  void Delete(uint32_t family, std::string_view key);
  void PutLogData(std::string_view data);
  void CreateFamily(uint32_t id, std::string_view name);
  void DropFamily(uint32_t id);
  void AddEpoch(std::string_view record);  // exactly kEpochRecordBytes
  void AddMark(std::string_view data);
  void Append(std::string_view body);  // validated first; throws Corruption
  void Clear();

  std::string_view data() const { return body_.view(); }
  const BatchCounts& counts() const { return counts_; }

 private:
  char* Extend(size_t size);
  void AddSized(Tag tag, std::string_view data);

  Buffer body_;
  BatchCounts counts_;
};

}  // namespace replicad
