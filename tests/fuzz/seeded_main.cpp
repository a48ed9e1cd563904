// SPDX-License-Identifier: Apache-2.0
// Runs a libFuzzer target without libFuzzer: `fuzz_x [-runs=N] [-seed=S] [FILE or FOLDER ...]`.
// First the files as they are, then N inputs made from them (or from nothing) by random changes.
// The seed is printed; the same one repeats the same inputs.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;
using Random = std::mt19937_64;

constexpr std::size_t kLongest = 512;

std::size_t below(Random& random, std::size_t bound) { return random() % bound; }

void add_files(const std::filesystem::path& path, std::vector<Input>& corpus) {
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      add_files(entry.path(), corpus);
    }
  } else if (std::ifstream file(path, std::ios::binary); file) {
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
}

uint8_t random_byte(Random& random) {
  // Programs are text: mostly bytes that have a meaning there.
  static constexpr char kText[] =
      "0123456789 abcdefghijklmnopqrstuvwxyz()[]{},.;:=+-*/%<>!&|^_\n\"";
  if (below(random, 4) == 0) return static_cast<uint8_t>(random());
  return static_cast<uint8_t>(kText[below(random, sizeof kText - 1)]);
}

void change(Input& input, const std::vector<Input>& corpus, Random& random) {
  const std::size_t at = below(random, input.size() + 1);
  const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
  const Input& other = corpus[below(random, corpus.size())];
  switch (below(random, 4)) {
    case 0:
      if (at < input.size()) *place = random_byte(random);
      break;
    case 1: input.insert(place, random_byte(random)); break;
    case 2:
      input.erase(place, place + static_cast<std::ptrdiff_t>(below(random, input.size() - at + 1)));
      break;
    case 3: {
      const std::size_t first = below(random, other.size() + 1);
      input.insert(place, other.begin() + static_cast<std::ptrdiff_t>(first), other.end());
      break;
    }
  }
  if (input.size() > kLongest) input.resize(kLongest);
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 1000, seed = 20240601;
  std::vector<Input> corpus;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("-runs=")) {
      runs = std::strtoull(argv[i] + 6, nullptr, 10);
    } else if (argument.starts_with("-seed=")) {
      seed = std::strtoull(argv[i] + 6, nullptr, 10);
    } else {
      add_files(argument, corpus);
    }
  }
  std::printf("seed %llu, %zu files\n", static_cast<unsigned long long>(seed), corpus.size());
  std::fflush(stdout);
  for (const Input& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());

  if (corpus.empty()) corpus.emplace_back();
  Random random(seed);
  for (uint64_t run = 0; run < runs; ++run) {
    Input input = corpus[below(random, corpus.size())];
    for (std::size_t changes = 1 + below(random, 8); changes > 0; --changes) {
      change(input, corpus, random);
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%llu inputs done\n", static_cast<unsigned long long>(runs));
}
