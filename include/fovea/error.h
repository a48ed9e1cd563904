// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include <fovea/export.h>

/// What fovea throws. The library never aborts and never prints. Every message has the form
/// `[where] rule: expected X, got Y`, where `where` is the public function that was called.
namespace fovea {

enum class ErrorCode { invalid_argument, unsupported, compile_error, internal_error };

/// The base of all errors. `code()` says which of the four classes it is, for boundaries (C, Python)
/// that no C++ exception type may cross.
class FOVEA_API Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ~Error() override;
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// The caller broke a documented rule: wrong shape, wrong dtype, text that does not parse, ...
class FOVEA_API InvalidArgument : public Error {
 public:
  explicit InvalidArgument(const std::string& message)
      : Error(ErrorCode::invalid_argument, message) {}
  ~InvalidArgument() override;
};

/// A legal request that no enabled backend can serve; `reasons()` has one sentence for each refusal.
class FOVEA_API Unsupported : public Error {
 public:
  Unsupported(const std::string& message, std::vector<std::string> reasons)
      : Error(ErrorCode::unsupported, message), reasons_(std::move(reasons)) {}
  ~Unsupported() override;
  const std::vector<std::string>& reasons() const noexcept { return reasons_; }

 private:
  std::vector<std::string> reasons_;
};

/// A kernel text did not compile; carries where the text was written and what the compiler said.
class FOVEA_API CompileError : public Error {
 public:
  CompileError(const std::string& message, std::string source_path, std::string log)
      : Error(ErrorCode::compile_error, message),
        source_path_(std::move(source_path)),
        log_(std::move(log)) {}
  ~CompileError() override;
  const std::string& source_path() const noexcept { return source_path_; }
  const std::string& log() const noexcept { return log_; }

 private:
  std::string source_path_;
  std::string log_;
};

/// A defect of fovea itself: please report it.
class FOVEA_API InternalError : public Error {
 public:
  explicit InternalError(const std::string& message) : Error(ErrorCode::internal_error, message) {}
  ~InternalError() override;
};

}  // namespace fovea
