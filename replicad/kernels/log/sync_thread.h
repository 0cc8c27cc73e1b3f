// SyncThread: makes a file durable in a thread that is lent to it, without the interpreter.
//
//     Begin ──> the lent thread: fdatasync ──> running is false ──> the bell is rung
//
// One sync at a time. After one that failed none begins any more: Linux may have marked the pages clean, and the next
// sync would say that all is well. Begin and Close are called by one thread at a time, the rest by any. Nothing here
// is a lock, which a forked child could find taken.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

namespace replicad {

class SyncThread {
 public:
  // `bell` is an eventfd that the caller keeps open until Serve has returned.
  explicit SyncThread(int bell) : bell_(bell) {}

  // Whether it began: not while another one runs, nor after a failure. `descriptor` stays open until it has ended.
  bool Begin(int descriptor) {
    if (descriptor < 0 || state_ != kIdle || error_ != 0) return false;
    Become(descriptor);
    return true;
  }

  bool running() const { return state_ >= 0; }

  // The errno of the sync that failed; 0 when none did.
  int error() const { return error_; }

  // Returns when no sync runs.
  void Wait() const {
    for (int state = state_; state >= 0; state = state_) state_.wait(state);
  }

  // Serve returns, after the sync that runs.
  void Close() {
    Wait();
    Become(kClosed);
  }

  // In the lent thread, until Close.
  void Serve() {
    while (true) {
      state_.wait(kIdle);
      const int state = state_;
      if (state == kClosed) return;
      if (state == kIdle) continue;

      int failure;
      do {
        failure = fdatasync(state) == 0 ? 0 : errno;
      } while (failure == EINTR);

      // The error first: who sees that nothing runs must see it.
      error_ = failure;
      Become(kIdle);
      const uint64_t one = 1;
      while (write(bell_, &one, sizeof one) < 0 && errno == EINTR) {
      }
    }
  }

 private:
  static constexpr int kIdle = -1;
  static constexpr int kClosed = -2;

  void Become(int state) {
    state_ = state;
    state_.notify_all();
  }

  const int bell_;
  std::atomic<int> state_ = kIdle;  // or the descriptor that is being synced
  std::atomic<int> error_ = 0;
};

}  // namespace replicad
