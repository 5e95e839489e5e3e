// What the native workers share: the protocol of package worker, the data set's files, and the asking of queries.
// Each worker is one program (hnswlib.cc, faiss.cc), built by build.sh with the library it drives.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <time.h>

using Args = std::map<std::string, std::string>;

struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string decode(const std::string &s) {
  std::string out;
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] == '+') {
      out += ' ';
    } else if (s[i] == '%' && i + 2 < s.size()) {
      out += char(std::stoi(s.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      out += s[i];
    }
  }
  return out;
}

inline std::string encode(const std::string &s) {
  std::string out;
  char hex[4];
  for (unsigned char c : s) {
    if (isalnum(c) || c == '.' || c == '-' || c == '_') {
      out += char(c);
    } else {
      snprintf(hex, sizeof hex, "%%%02X", c);
      out += hex;
    }
  }
  return out;
}

inline void say(const std::string &verb, const Args &args) {
  std::string line = verb + "?";
  for (auto &[name, value] : args) line += (line.back() == '?' ? "" : "&") + encode(name) + "=" + encode(value);
  std::cout << line << std::endl;
}

inline std::string number(double x) {
  char text[32];
  snprintf(text, sizeof text, "%.9g", x);
  return text;
}

inline int whole(const Args &a, const std::string &name, int fallback) {
  auto at = a.find(name);
  return at == a.end() ? fallback : std::stoi(at->second);
}

inline std::string text(const Args &a, const std::string &name, const std::string &fallback = "") {
  auto at = a.find(name);
  return at == a.end() ? fallback : at->second;
}

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// spent is the processor time of the whole process.
inline double spent() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return double(t.tv_sec) + double(t.tv_nsec) / 1e9;
}

inline std::vector<float> floats(const std::string &name) {
  FILE *f = fopen(name.c_str(), "rb");
  if (!f) throw std::runtime_error("cannot read " + name);
  fseek(f, 0, SEEK_END);
  std::vector<float> v(ftell(f) / sizeof(float));
  rewind(f);
  size_t n = fread(v.data(), sizeof(float), v.size(), f);
  fclose(f);
  if (n != v.size()) throw std::runtime_error("cannot read all of " + name);
  return v;
}

// Index is a library under measurement.
struct Index {
  virtual ~Index() = default;
  virtual std::string version() = 0;
  // build makes the index of rows × dim values and returns the seconds it took. progress may be told of rows done.
  virtual double build(const std::vector<float> &base, size_t rows, size_t dim, bool l2, int threads, const Args &args,
                       const std::function<void(size_t)> &progress) = 0;
  // save and load keep a built index; load returns false where it cannot.
  virtual void save(const std::string &file) = 0;
  virtual bool load(const std::string &file, size_t rows, size_t dim, bool l2) = 0;
  // prepare takes the parameters of the searches that follow.
  virtual void prepare(const Args &args) = 0;
  // search writes the k nearest rows of q, -1 where there are fewer. It may be called by several threads.
  virtual void search(const float *q, size_t k, int32_t *out) = 0;
};

struct Driver {
  Index &index;
  std::vector<float> base, queries;
  size_t rows = 0, dim = 0;
  bool l2 = false;

  Args handle(const std::string &verb, const Args &a) {
    if (verb == "version") return {{"version", index.version()}};
    if (verb == "load") {
      std::string dir = text(a, "dir");
      dim = whole(a, "dim", 0);
      l2 = text(a, "metric") == "L2";
      if (!l2 && text(a, "metric") != "COSINE") throw Unsupported("metric " + text(a, "metric"));
      base = floats(dir + "/base.f32");
      queries = floats(dir + "/queries.f32");
      rows = base.size() / dim;
      return {};
    }
    if (verb == "build") return build(a);
    if (verb == "search") return search(a);
    throw Unsupported(verb);
  }

  Args build(const Args &a) {
    std::string kept = text(a, "keep");
    if (!kept.empty() && index.load(kept, rows, dim, l2)) {
      std::vector<float>().swap(base);
      return {{"kept", "1"}};
    }
    double before = spent();
    double took = index.build(base, rows, dim, l2, whole(a, "threads", 1), a, [&](size_t done) {
      say("progress", {{"done", std::to_string(done)}, {"of", std::to_string(rows)}});
    });
    std::vector<float>().swap(base);
    Args out{{"build_s", number(took)}, {"cpu_seconds", number(spent() - before)}};
    if (!kept.empty()) {
      index.save(kept);
      std::ifstream f(kept, std::ios::ate | std::ios::binary);
      out["disk_mb"] = number(double(f.tellg()) / (1 << 20));
    }
    return out;
  }

  Args search(const Args &a) {
    size_t from = whole(a, "from", 0), to = whole(a, "to", int(queries.size() / dim)), k = whole(a, "k", 10);
    size_t repeat = whole(a, "repeat", 1), n = to - from;
    int threads = whole(a, "threads", 1);
    if (from >= to || to > queries.size() / dim) throw std::runtime_error("no such queries");
    index.prepare(a);
    std::vector<int32_t> answers(n * k, -1);
    std::vector<float> micros(n * repeat);
    std::atomic<size_t> next{0};
    std::atomic<bool> failed{false};
    auto work = [&] {
      try {
        for (size_t i; (i = next++) < n * repeat;) {
          double begin = now();
          index.search(&queries[(from + i % n) * dim], k, &answers[i % n * k]);
          micros[i] = float((now() - begin) * 1e6);
        }
      } catch (const std::exception &) {
        failed = true;
      }
    };
    double before = spent(), begin = now();
    if (threads == 1) {
      work();
    } else {
      std::vector<std::thread> all;
      for (int t = 0; t < threads; t++) all.emplace_back(work);
      for (auto &t : all) t.join();
    }
    double took = now() - begin, cpu = spent() - before;
    if (failed) throw std::runtime_error("a search failed");
    std::string out = text(a, "out");
    std::ofstream(out, std::ios::binary).write((char *)answers.data(), answers.size() * 4);
    std::ofstream(out + ".us", std::ios::binary).write((char *)micros.data(), micros.size() * 4);
    return {{"seconds", number(took)}, {"cpu_seconds", number(cpu)}};
  }

  int serve() {
    std::string line;
    while (std::getline(std::cin, line)) {
      size_t mark = line.find('?');
      std::string verb = line.substr(0, mark);
      Args args;
      for (size_t at = mark == std::string::npos ? line.size() : mark + 1; at < line.size();) {
        size_t end = std::min(line.find('&', at), line.size());
        std::string pair = line.substr(at, end - at);
        size_t equals = std::min(pair.find('='), pair.size());
        args[decode(pair.substr(0, equals))] = equals < pair.size() ? decode(pair.substr(equals + 1)) : "";
        at = end + 1;
      }
      try {
        say("ok", handle(verb, args));
      } catch (const Unsupported &e) {
        say("unsupported", {{"text", e.what()}});
      } catch (const std::exception &e) {
        say("error", {{"text", e.what()}});
      }
    }
    return 0;
  }
};
