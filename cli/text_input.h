// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

/// Real input for the demo: text files as documents, bytes as tokens.
namespace fovea::cli {

struct Document {
  std::string path;  ///< relative to the folder
  int64_t length = 0;
};

struct TextInput {
  std::filesystem::path folder;
  int64_t files = 0;                ///< text files found
  std::vector<Document> documents;  ///< in the order of the tokens
  std::vector<uint8_t> tokens;
  std::vector<int32_t> ids;  ///< document of each token, ascending
};

/// Fills `length` tokens with the beginnings of up to twelve files of the folder, spread evenly
/// over the sorted list; longer files get longer documents. If those are too short, all files are
/// taken, and again from the first one if need be.
/// UsageError if the folder has no text.
TextInput read_text_input(const std::filesystem::path& folder, int64_t length);

/// The repository that this program was built from or is run in, else the current folder.
std::filesystem::path default_text_folder();

}  // namespace fovea::cli
