// hnswlib (https://github.com/nmslib/hnswlib), header-only: compiled for this machine. Parameters: M, efConstruction;
// ef.
#include "driver.h"
#include "hnswlib/hnswlib.h"
#include <memory>

#ifndef VERSION
#define VERSION "unknown"
#endif

struct HNSW : Index {
  std::unique_ptr<hnswlib::SpaceInterface<float>> space;
  std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;

  std::string version() override { return VERSION; }

  void makeSpace(size_t dim, bool l2) {
    if (l2) {
      space = std::make_unique<hnswlib::L2Space>(dim);
    } else { // rows and queries have length 1
      space = std::make_unique<hnswlib::InnerProductSpace>(dim);
    }
  }

  double build(const std::vector<float> &base, size_t rows, size_t dim, bool l2, int threads, const Args &args,
               const std::function<void(size_t)> &progress) override {
    makeSpace(dim, l2);
    double begin = now();
    graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(space.get(), rows, whole(args, "M", 16),
                                                              whole(args, "efConstruction", 200));
    graph->addPoint(&base[0], 0);
    std::atomic<size_t> next{1};
    auto work = [&](bool first) {
      for (size_t i; (i = next++) < rows;) {
        graph->addPoint(&base[i * dim], i);
        if (first && i % 10000 < size_t(threads)) progress(i);
      }
    };
    std::vector<std::thread> others;
    for (int t = 1; t < threads; t++) others.emplace_back(work, false);
    work(true);
    for (auto &t : others) t.join();
    return now() - begin;
  }

  void save(const std::string &file) override { graph->saveIndex(file); }

  bool load(const std::string &file, size_t, size_t dim, bool l2) override {
    if (!std::ifstream(file)) return false;
    makeSpace(dim, l2);
    graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(space.get(), file);
    return true;
  }

  void prepare(const Args &args) override { graph->setEf(whole(args, "ef", 64)); }

  void search(const float *q, size_t k, int32_t *out) override {
    auto found = graph->searchKnn(q, k);
    for (size_t i = found.size(); i-- > 0; found.pop()) out[i] = int32_t(found.top().second);
  }
};

int main() {
  HNSW index;
  return Driver{index}.serve();
}
