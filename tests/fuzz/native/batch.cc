// The body of a batch. What is accepted is what the encoder writes for the same records, byte for byte.
#include "log/batch.h"

#include "harness.h"

using namespace replicad;
using namespace replicad::fuzz;

namespace {

void Encode(const Operation& operation, Batch& batch) {
  switch (operation.tag) {
    case Tag::kPut:
      return batch.Put(operation.family, operation.key, operation.value);
    case Tag::kDelete:
      return batch.Delete(operation.family, operation.key);
    case Tag::kLogData:
      return batch.PutLogData(operation.value);
    case Tag::kCreateFamily:
      return batch.CreateFamily(operation.family, operation.key);
    case Tag::kDropFamily:
      return batch.DropFamily(operation.family);
    case Tag::kEpoch:
      return batch.AddEpoch(operation.value);
    case Tag::kMark:
      return batch.AddMark(operation.value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body = Input(data, size);
  Batch again;
  uint32_t operations = 0, annotations = 0;
  const bool accepted = Accepts(size, [&] {
    BatchReader reader(body);
    for (Operation operation; reader.Next(&operation);) {
      ++(operation.IsAnnotation() ? annotations : operations);
      Encode(operation, again);
    }
  });
  Batch appended;
  const bool valid = Accepts(size, [&] { appended.Append(body); });
  Require(valid == accepted, "the walk and the validation differ");
  if (!accepted) {
    Require(appended.data().empty(), "a refused body left something behind");
    return 0;
  }
  const BatchCounts counts = ValidateBatch(body);
  Require(counts.operations == operations && counts.annotations == annotations, "the counts are wrong");
  Require(again.data() == body && appended.data() == body, "one batch has two encodings");
  return 0;
}
