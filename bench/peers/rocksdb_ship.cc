// RocksDB's way to ship a log: GetUpdatesSince at the source, Write of each batch at the destination.
//
//     rocksdb_ship DIR RECORDS BATCH VALUE_BYTES
//
// prints: records a second, processor microseconds of one record, peak KiB. Filling the source is not timed. Both
// databases are in this process: no network, which favours it.

#include <rocksdb/db.h>
#include <rocksdb/transaction_log.h>
#include <rocksdb/write_batch.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

static void Check(const rocksdb::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "rocksdb_ship: %s\n", status.ToString().c_str());
  std::exit(1);
}

static std::unique_ptr<rocksdb::DB> Open(const std::string& path) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 64 << 20;
  // The whole log stays, as a replica that is behind needs it.
  options.WAL_ttl_seconds = 24 * 3600;
  rocksdb::DB* db = nullptr;
  Check(rocksdb::DB::Open(options, path, &db));
  return std::unique_ptr<rocksdb::DB>(db);
}

static double ProcessorSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: rocksdb_ship DIR RECORDS BATCH VALUE_BYTES\n");
    return 2;
  }
  const std::string directory = argv[1];
  const long records = std::atol(argv[2]), batch_records = std::atol(argv[3]);
  const size_t value_bytes = static_cast<size_t>(std::atol(argv[4]));

  auto source = Open(directory + "/source");
  std::mt19937_64 random(1);
  rocksdb::WriteBatch batch;
  std::string value(value_bytes, 'v');
  for (long n = 0; n < records; ++n) {
    char key[17];
    std::snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(random()));
    for (size_t at = 0; at + 8 <= value_bytes / 2; at += 8) {
      const uint64_t word = random();
      value.replace(at, 8, reinterpret_cast<const char*>(&word), 8);
    }
    batch.Put(rocksdb::Slice(key, 16), value);
    if (batch.Count() == batch_records || n + 1 == records) {
      Check(source->Write(rocksdb::WriteOptions(), &batch));
      batch.Clear();
    }
  }

  auto destination = Open(directory + "/destination");
  const double processor = ProcessorSeconds();
  const auto begun = std::chrono::steady_clock::now();
  std::unique_ptr<rocksdb::TransactionLogIterator> log;
  Check(source->GetUpdatesSince(1, &log));
  long applied = 0;
  for (; log->Valid(); log->Next()) {
    rocksdb::BatchResult update = log->GetBatch();
    applied += update.writeBatchPtr->Count();
    Check(destination->Write(rocksdb::WriteOptions(), update.writeBatchPtr.get()));
  }
  Check(log->status());
  if (applied != records) {
    std::fprintf(stderr, "rocksdb_ship: %ld of %ld records arrived\n", applied, records);
    return 1;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%.0f %.3f %ld\n", static_cast<double>(records) / taken.count(),
              (ProcessorSeconds() - processor) / static_cast<double>(records) * 1e6, usage.ru_maxrss);
  return 0;
}
