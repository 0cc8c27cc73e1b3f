// The commands that the kernels execute themselves, and how a request finds its own.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace replicad {

enum class Operator : uint8_t {
  kPing,
  kEcho,
  kGet,
  kMultiGet,
  kExists,
  kLength,
  kPart,
  kSet,
  kSetAbsent,
  kMultiSet,
  kDelete,
  kAdd,       // one more
  kSubtract,  // one less
  kAddBy,
  kSubtractBy,
  kAppend,
  kBegin,  // of a transaction
  kCommit,
};

struct SimpleCommand {
  std::string name;  // in lower case
  Operator operation;
  // Of a request, the name counted.
  uint32_t arguments_min, arguments_max;
  mutable uint64_t calls = 0;  // that were done
};

// By name, in any mixture of cases.
class CommandTable {
 public:
  static constexpr size_t kNameBytesMax = 8;

  // Names have at most kNameBytesMax letters, and nothing but letters; throws LimitError. A few dozen at most.
  void Add(SimpleCommand command);

  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const std::optional<SimpleCommand>& command : places_) {
      if (command) visit(*command);
    }
  }

  const SimpleCommand* Find(std::string_view name) const {
    if (name.empty() || name.size() > kNameBytesMax) return nullptr;
    const uint64_t packed = Packed(name);
    for (size_t at = Place(packed);; at = (at + 1) % kPlaces) {
      const std::optional<SimpleCommand>& command = places_[at];
      if (!command || packed_[at] == packed) return command ? &*command : nullptr;
    }
  }

 private:
  static constexpr size_t kPlaces = 128;

  // A byte that is not a letter stays different from all letters when it gets the bit of lower case.
  static uint64_t Packed(std::string_view name) {
    uint64_t packed = 0;
    for (const char letter : name) packed = packed << 8 | static_cast<uint8_t>(letter | 0x20);
    return packed;
  }
  static size_t Place(uint64_t packed) { return (packed * 0x9e3779b97f4a7c15) >> 57; }

  std::array<std::optional<SimpleCommand>, kPlaces> places_;
  std::array<uint64_t, kPlaces> packed_{};
  size_t count_ = 0;
};

}  // namespace replicad
