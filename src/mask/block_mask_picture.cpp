// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string>
#include <vector>

#include <fovea/block_mask.h>
#include <fovea/error.h>

namespace fovea {
namespace {

// How much of one line of cells is covered, in half blocks: a full block counts twice.
class CellRow {
 public:
  CellRow(int64_t columns, int64_t blocks_per_cell)
      : columns_(columns),
        step_(blocks_per_cell),
        cover_(static_cast<std::size_t>((columns + step_ - 1) / step_)) {}

  void add(std::span<const BlockRun> runs, int64_t weight) {
    for (const BlockRun& run : runs) {
      for (int64_t at = run.begin; at < run.end;) {
        const int64_t cell = at / step_;
        const int64_t end = std::min<int64_t>(run.end, (cell + 1) * step_);
        cover_[static_cast<std::size_t>(cell)] += weight * (end - at);
        at = end;
      }
    }
  }

  void print(int64_t block_rows, std::string& out) const {
    for (std::size_t cell = 0; cell < cover_.size(); ++cell) {
      const int64_t width = std::min(step_, columns_ - static_cast<int64_t>(cell) * step_);
      const int64_t all = 2 * width * block_rows;
      out += cover_[cell] == 0 ? "  " : cover_[cell] == all ? "██" : "░░";
    }
    out += '\n';
  }

 private:
  int64_t columns_;
  int64_t step_;
  std::vector<int64_t> cover_;
};

}  // namespace

std::string BlockMask::to_string(int64_t b, int64_t h, int64_t max_rows,
                                 int64_t max_columns) const {
  if (max_rows < 1 || max_columns < 1) {
    throw InvalidArgument(
        "[BlockMask] picture must have a row and a column: expected max_rows >= 1 and "
        "max_columns >= 1, got " +
        std::to_string(max_rows) + " and " + std::to_string(max_columns));
  }
  const int64_t row_step = std::max<int64_t>(1, (rows() + max_rows - 1) / max_rows);
  const int64_t column_step = std::max<int64_t>(1, (columns() + max_columns - 1) / max_columns);
  std::string out;
  for (int64_t first = 0; first < rows(); first += row_step) {
    const int64_t last = std::min(rows(), first + row_step);
    CellRow cells(columns(), column_step);
    for (int64_t row = first; row < last; ++row) {
      cells.add(full(b, h, row), 2);
      cells.add(partial(b, h, row), 1);
    }
    cells.print(last - first, out);
  }
  return out;
}

std::string BlockMask::summary() const {
  const auto [batch, heads, q_len, kv_len] = shape();
  const BlockCounts found = counts();
  const BlockSize size = block_size();
  std::ostringstream out;
  out << "BlockMask(shape=(" << batch << ", " << heads << ", " << q_len << ", " << kv_len
      << "), sparsity=" << std::fixed << std::setprecision(2) << sparsity()
      << "%, blocks=" << rows() << " x " << columns() << " of " << size.q << " x " << size.kv
      << ", full=" << found.full << ", partial=" << found.partial << ", skipped=" << found.skipped
      << ')';
  return out.str();
}

}  // namespace fovea
