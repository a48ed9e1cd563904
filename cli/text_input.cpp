// SPDX-License-Identifier: Apache-2.0
#include "text_input.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <system_error>

#include <fmt/format.h>

#include "usage_error.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDocuments = 12;
constexpr std::size_t kMostFiles = 20000;  // of a folder that is much larger than any demo needs

struct File {
  fs::path path;
  int64_t size = 0;
};

std::vector<uint8_t> read_beginning(const fs::path& path, int64_t length) {
  std::ifstream in(path, std::ios::binary);
  std::vector<uint8_t> bytes(static_cast<std::size_t>(length));
  in.read(reinterpret_cast<char*>(bytes.data()), length);
  bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(0, in.gcount())));
  return bytes;
}

bool is_text(const fs::path& path) {
  const auto bytes = read_beginning(path, 4096);
  const auto odd = [](uint8_t c) {
    return c < 32 && c != '\n' && c != '\r' && c != '\t' && c != '\f';
  };
  return !bytes.empty() && std::none_of(bytes.begin(), bytes.end(), odd);
}

bool is_left_out(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with(".") || name.starts_with("build") || name == "node_modules" ||
         name == "__pycache__" || name == "fovea-demo";
}

std::vector<File> text_files(const fs::path& folder) {
  std::vector<File> files;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error);
  if (error)
    throw UsageError(fmt::format("cannot read folder {}: {}", folder.string(), error.message()));
  for (const fs::recursive_directory_iterator end; it != end && files.size() < kMostFiles;
       it.increment(error)) {
    if (error) break;
    if (is_left_out(it->path())) {
      it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error) || error) continue;
    const auto size = static_cast<int64_t>(it->file_size(error));
    if (!error && size > 0 && is_text(it->path())) files.push_back({it->path(), size});
  }
  std::sort(files.begin(), files.end(),
            [](const File& a, const File& b) { return a.path < b.path; });
  return files;
}

std::vector<File> spread_evenly(const std::vector<File>& files, int64_t length) {
  std::vector<File> chosen;
  int64_t total = 0;
  const std::size_t count = std::min(kDocuments, files.size());
  for (std::size_t i = 0; i < count; ++i) {
    chosen.push_back(files[i * files.size() / count]);
    total += chosen.back().size;
  }
  return total >= length ? chosen : files;
}

// Lengths that add up to `length` where the files have that much: as the square roots of the sizes,
// none beyond its file.
std::vector<int64_t> share_out(const std::vector<File>& files, int64_t length) {
  std::vector<int64_t> shares(files.size(), 0);
  for (int64_t left = length; left > 0;) {
    double weight = 0;
    for (std::size_t i = 0; i < files.size(); ++i) {
      if (shares[i] < files[i].size) weight += std::sqrt(static_cast<double>(files[i].size));
    }
    if (weight == 0) break;  // all files are used up
    const double unit = static_cast<double>(left) / weight;
    for (std::size_t i = 0; i < files.size() && left > 0; ++i) {
      const auto wanted = std::ceil(unit * std::sqrt(static_cast<double>(files[i].size)));
      const int64_t more =
          std::min({static_cast<int64_t>(wanted), files[i].size - shares[i], left});
      shares[i] += more;
      left -= more;
    }
  }
  return shares;
}

std::optional<fs::path> repository_above(fs::path folder) {
  std::error_code error;
  for (folder = fs::absolute(folder, error); !error; folder = folder.parent_path()) {
    if (fs::exists(folder / "include" / "fovea" / "version.h", error)) return folder;
    if (folder == folder.parent_path()) break;
  }
  return std::nullopt;
}

}  // namespace

TextInput read_text_input(const fs::path& folder, int64_t length) {
  const std::vector<File> files = text_files(folder);
  if (files.empty()) throw UsageError(fmt::format("no text files in folder {}", folder.string()));
  const std::vector<File> chosen = spread_evenly(files, length);
  const std::vector<int64_t> shares = share_out(chosen, length);
  TextInput input{folder, static_cast<int64_t>(files.size()), {}, {}, {}};
  const auto wanted = static_cast<std::size_t>(length);
  while (input.tokens.size() < wanted) {
    const std::size_t before = input.tokens.size();
    for (std::size_t i = 0; i < chosen.size() && input.tokens.size() < wanted; ++i) {
      auto bytes = read_beginning(chosen[i].path, shares[i]);
      bytes.resize(std::min(bytes.size(), wanted - input.tokens.size()));
      if (bytes.empty()) continue;
      const auto id = static_cast<int32_t>(input.documents.size());
      input.documents.push_back({fs::relative(chosen[i].path, folder).generic_string(),
                                 static_cast<int64_t>(bytes.size())});
      input.tokens.insert(input.tokens.end(), bytes.begin(), bytes.end());
      input.ids.insert(input.ids.end(), bytes.size(), id);
    }
    if (input.tokens.size() == before) {
      throw UsageError(fmt::format("cannot read the files of folder {}", folder.string()));
    }
  }
  return input;
}

fs::path default_text_folder() {
  std::error_code error;
  if (const auto found = repository_above(fs::current_path(error))) return *found;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    if (const auto found = repository_above(self.parent_path())) return *found;
  }
  return fs::current_path(error);
}

}  // namespace fovea::cli
