#include "resp/simple_commands.h"

#include <algorithm>

#include "base/errors.h"

namespace replicad {

void CommandTable::Add(SimpleCommand command) {
  const auto is_letter = [](char letter) { return letter >= 'a' && letter <= 'z'; };
  if (command.name.empty() || command.name.size() > kNameBytesMax || 2 * count_ >= kPlaces ||
      !std::all_of(command.name.begin(), command.name.end(), is_letter)) {
    throw LimitError("the table of simple commands takes no " + command.name);
  }
  const uint64_t packed = Packed(command.name);
  size_t at = Place(packed);
  while (places_[at]) at = (at + 1) % kPlaces;
  packed_[at] = packed;
  places_[at] = std::move(command);
  ++count_;
}

}  // namespace replicad
