#include "log/batch.h"

#include <algorithm>
#include <string>

namespace replicad {
namespace {

void CheckSize(const char* what, size_t size, uint32_t limit) {
  if (size <= limit) [[likely]]
    return;
  throw LimitError(std::string(what) + " of " + std::to_string(size) + " bytes is over the limit of " +
                   std::to_string(limit));
}

}  // namespace

void CheckKey(std::string_view key) { CheckSize("a key", key.size(), kKeyBytesMax); }
void CheckValue(std::string_view value) { CheckSize("a value", value.size(), kValueBytesMax); }

bool BatchReader::Next(Operation* operation) {
  if (cursor_.Empty()) return false;
  *operation = {};
  const Cursor start = cursor_;
  operation->tag = static_cast<Tag>(cursor_.U8("tag"));
  switch (operation->tag) {
    case Tag::kPut:
      operation->family = cursor_.Varint32("family");
      operation->key = cursor_.Sized(kKeyBytesMax, "key");
      operation->value = cursor_.Sized(kValueBytesMax, "value");
      return true;
    case Tag::kDelete:
      operation->family = cursor_.Varint32("family");
      operation->key = cursor_.Sized(kKeyBytesMax, "key");
      return true;
    case Tag::kLogData:
      operation->value = cursor_.Sized(kAnnotationBytesMax, "annotation");
      return true;
    case Tag::kCreateFamily:
      operation->family = cursor_.Varint32("family");
      operation->key = cursor_.Sized(kKeyBytesMax, "family name");
      return true;
    case Tag::kDropFamily:
      operation->family = cursor_.Varint32("family");
      return true;
    case Tag::kEpoch:
      operation->value = cursor_.Sized(kEpochRecordBytes, "epoch record");
      if (operation->value.size() != kEpochRecordBytes) start.Fail("epoch record is not 40 bytes long");
      return true;
    case Tag::kMark:
      operation->value = cursor_.Sized(kAnnotationBytesMax, "mark");
      return true;
  }
  start.Fail("unknown tag " + std::to_string(static_cast<unsigned>(operation->tag)));
}

BatchCounts ValidateBatch(std::string_view body, uint64_t base) {
  if (body.size() > kBodyBytesMax) throw Corruption("a batch is longer than its limit", base);
  BatchCounts counts;
  BatchReader reader(body, base);
  for (Operation operation; reader.Next(&operation);) {
    ++(operation.IsAnnotation() ? counts.annotations : counts.operations);
    counts.has_control |= operation.IsControl();
    if (!operation.IsControl()) counts.family_max = std::max(counts.family_max, operation.family);
  }
  return counts;
}

void Batch::Put(uint32_t family, std::string_view key, std::string_view value) {
  CheckKey(key);
  CheckValue(value);
  PutPutOperation(Extend(PutOperationSize(family, key, value)), family, key, value);
  ++counts_.operations;
  counts_.family_max = std::max(counts_.family_max, family);
}

void Batch::Delete(uint32_t family, std::string_view key) {
  CheckKey(key);
  PutDeleteOperation(Extend(DeleteOperationSize(family, key)), family, key);
  ++counts_.operations;
  counts_.family_max = std::max(counts_.family_max, family);
}

void Batch::PutLogData(std::string_view data) {
  CheckSize("an annotation", data.size(), kAnnotationBytesMax);
  AddSized(Tag::kLogData, data);
  ++counts_.annotations;
}

void Batch::CreateFamily(uint32_t id, std::string_view name) {
  CheckSize("a family name", name.size(), kKeyBytesMax);
  PutDeleteOperation(Extend(DeleteOperationSize(id, name)), id, name, Tag::kCreateFamily);
  ++counts_.operations;
  counts_.has_control = true;
}

void Batch::DropFamily(uint32_t id) {
  char* to = Extend(1 + VarintSize(id));
  *to++ = static_cast<char>(Tag::kDropFamily);
  PutVarint(to, id);
  ++counts_.operations;
  counts_.has_control = true;
}

void Batch::AddEpoch(std::string_view record) {
  if (record.size() != kEpochRecordBytes) throw LimitError("an epoch record is 40 bytes long");
  AddSized(Tag::kEpoch, record);
  ++counts_.operations;
  counts_.has_control = true;
}

void Batch::AddMark(std::string_view data) {
  CheckSize("a mark", data.size(), kAnnotationBytesMax);
  AddSized(Tag::kMark, data);
  ++counts_.operations;
  counts_.has_control = true;
}

void Batch::Append(std::string_view body) {
  const BatchCounts added = ValidateBatch(body);
  PutBytes(Extend(body.size()), body);
  counts_.operations += added.operations;
  counts_.annotations += added.annotations;
  counts_.family_max = std::max(counts_.family_max, added.family_max);
  counts_.has_control |= added.has_control;
}

void Batch::Clear() {
  body_.Clear();
  counts_ = {};
}

char* Batch::Extend(size_t size) {
  CheckSize("a batch", body_.size() + size, kBodyBytesMax);
  return body_.Extend(size);
}

void Batch::AddSized(Tag tag, std::string_view data) {
  char* to = Extend(1 + VarintSize(data.size()) + data.size());
  *to++ = static_cast<char>(tag);
  PutBytes(PutVarint(to, data.size()), data);
}

}  // namespace replicad
