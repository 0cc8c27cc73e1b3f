// Transaction: what one EXEC under way has written and answered so far. Its commands see that before anything else.
#pragma once

#include <algorithm>
#include <list>
#include <string>
#include <string_view>
#include <vector>

namespace replicad {

class Transaction {
 public:
  struct Change {
    std::string_view key, value;
    bool deletes;
  };

  // Keys and values must stay where they are.
  void Put(std::string_view key, std::string_view value) { Add({key, value, false}); }
  void Delete(std::string_view key) { Add({key, {}, true}); }
  // A copy that stays.
  std::string_view Keep(std::string_view value) { return kept_.emplace_back(value); }

  // The last change of a key; null when there is none. A transaction has few.
  const Change* Find(std::string_view key) const {
    const auto found =
        std::find_if(changes_.rbegin(), changes_.rend(), [key](const Change& change) { return change.key == key; });
    return found == changes_.rend() ? nullptr : &*found;
  }

  // In their order.
  const std::vector<Change>& changes() const { return changes_; }
  size_t size_bytes() const { return size_bytes_; }

  // One after another, as they stand in the array of EXEC.
  std::string replies;
  // It read what the open group writes: then it waits for that, and fails with it.
  bool saw_group = false;

 private:
  void Add(const Change& change) {
    size_bytes_ += change.key.size() + change.value.size();
    changes_.push_back(change);
  }

  std::vector<Change> changes_;
  std::list<std::string> kept_;
  size_t size_bytes_ = 0;
};

}  // namespace replicad
