// faiss (https://github.com/facebookresearch/faiss). Parameters: factory, an index factory string; efSearch, or nprobe
// and k_factor.
#include "driver.h"
#include <faiss/AutoTune.h>
#include <faiss/Index.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <faiss/utils/utils.h>
#include <memory>
#include <omp.h>

#ifndef VERSION
#define VERSION "unknown"
#endif

using Id = decltype(faiss::Index::ntotal); // its name moved between versions

struct Faiss : Index {
  std::unique_ptr<faiss::Index> index;

  std::string version() override { return std::string(VERSION ", compiled for ") + faiss::get_compile_options(); }

  double build(const std::vector<float> &base, size_t rows, size_t dim, bool l2, int threads, const Args &args,
               const std::function<void(size_t)> &) override {
    omp_set_num_threads(threads);
    double begin = now();
    index.reset(faiss::index_factory(int(dim), text(args, "factory", "HNSW32,Flat").c_str(),
                                     l2 ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT));
    if (auto graph = dynamic_cast<faiss::IndexHNSW *>(index.get())) {
      graph->hnsw.efConstruction = whole(args, "efConstruction", 200);
    }
    index->train(rows, base.data());
    index->add(rows, base.data());
    return now() - begin;
  }

  void save(const std::string &file) override { faiss::write_index(index.get(), file.c_str()); }

  bool load(const std::string &file, size_t, size_t, bool) override {
    if (!std::ifstream(file)) return false;
    index.reset(faiss::read_index(file.c_str()));
    return true;
  }

  void prepare(const Args &args) override {
    omp_set_num_threads(1); // several queries at a time, each on one thread
    auto inner = index.get();
    if (auto refine = dynamic_cast<faiss::IndexRefine *>(inner)) {
      refine->k_factor = float(whole(args, "k_factor", 16));
      inner = refine->base_index;
    }
    if (auto lists = dynamic_cast<faiss::IndexIVF *>(inner)) lists->nprobe = whole(args, "nprobe", 16);
    if (auto graph = dynamic_cast<faiss::IndexHNSW *>(inner)) graph->hnsw.efSearch = whole(args, "efSearch", 64);
  }

  void search(const float *q, size_t k, int32_t *out) override {
    static thread_local std::vector<float> distances;
    static thread_local std::vector<Id> labels;
    distances.resize(k);
    labels.resize(k);
    index->search(1, q, Id(k), distances.data(), labels.data());
    for (size_t i = 0; i < k; i++) out[i] = int32_t(labels[i]);
  }
};

int main() {
  Faiss index;
  return Driver{index}.serve();
}
