// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "attention/backward_problem.h"
#include "cpu/attention/backward_programs.h"
#include "cpu/attention/scatter_gradients.h"
#include "cpu/attention/turns.h"

/// The gradients of captured tensors: where the tiles of a task add to, and how tasks that add to the same
/// memory keep a fixed order. The tasks are those of BackwardLayout.
namespace fovea::cpu {

/// What of the tasks matters here.
struct CaptureTasks {
  int64_t heads = 0, task_heads = 0, chunks = 0, chunk_keys = 0;
  int64_t tiles = 0;  // of keys, over all chunks
  bool batches_together = false;
};

class CapturedGradients {
 public:
  /// Allocates all that finish() needs.
  CapturedGradients(const BackwardPrograms& programs, const attention::BackwardProblem& problem,
                    const CaptureTasks& tasks);

  bool any() const { return !contributions_.empty(); }
  std::size_t shared_bytes() const { return shared_bytes_; }
  std::size_t worker_bytes() const { return worker_bytes_; }

  /// A task on its worker's memory. Whatever turns it has to take end with it at the latest.
  class Task {
   public:
    Task(CapturedGradients& all, int64_t head, int64_t chunk, void* memory);

    /// Of a program's contributions, for one of the task's query heads.
    const TileGradient* scores(int64_t head) const { return gradients(0, head); }
    const TileGradient* weights(int64_t head) const { return gradients(1, head); }

    /// Around each tile of keys, whether anything is added or not.
    void begin_tile(int64_t tile);
    void end_tile();
    /// In the turn of the head: what was summed along rows, columns or diagonals.
    void add_sums() const;
    /// After the last tile.
    void finish();

   private:
    const TileGradient* gradients(std::size_t source, int64_t head) const;
    void clear() const;
    void place(std::size_t source, int64_t head) const;

    CapturedGradients& all_;
    const int64_t head_, chunk_;
    char* const memory_;
    std::optional<Turns::Turn> tile_turn_, task_turn_;
  };

  /// Before the first task: zeros everywhere.
  void begin(void* shared, Executor& executor);
  /// After the last one.
  void finish(Executor& executor);

 private:
  /// How contributions to one tensor that are not summed first reach it.
  enum class Way : uint8_t {
    none,    // all are summed
    direct,  // no two tasks share an address
    tiles,   // tasks that do take turns, for each tile of keys
    copies,  // each task has a copy of the tensor, and they are added up in turns
    tasks,   // tasks take turns
  };

  struct Tensor {
    TensorView gradient;  // f32 or f64, to be written
    Way way = Way::none;
    bool by_batch = false, by_head = false;  // whose addresses differ
    // Where it is summed if the gradient is no f32: floats, row-major.
    std::size_t sums_offset = 0;
    std::size_t copy_offset = 0;  // in a worker's memory
  };

  struct Contribution {
    std::size_t source = 0, index = 0;  // of a program, its contribution
    std::size_t tensor = 0;
    TileContribution to;
    bool summed = false;
    // If so: all sums, [batch][q_heads][all.count] floats, the task's, [task_heads][count], and sums over
    // heads in double.
    SumRange all;
    int64_t count = 0;
    std::size_t all_offset = 0, own_offset = 0, total_offset = 0;
    std::shared_ptr<GradientScatter> scatter;
  };

  void add_source(std::size_t source, const TileProgram& program, const Program& mod,
                  const std::vector<TensorView>& gradients);
  std::size_t tensor_of(std::size_t source, int32_t slot, const TensorView& gradient);
  void choose_way(std::size_t tensor);
  void place_memory();
  static bool is_summed_apart(const Tensor& tensor);
  bool is_input(const Contribution& contribution, bool batch) const;
  SumRange range(const Contribution& contribution, int64_t chunk) const;
  Turns::Place tile_place(int64_t head, int64_t tile) const;
  Turns::Place task_place(int64_t head, int64_t chunk) const;
  TileGradient target(const Tensor& tensor, char* worker) const;
  void add_copies(const Tensor& tensor, const char* worker) const;
  void scatter(const Contribution& contribution) const;

  const attention::Problem& problem_;
  const CaptureTasks tasks_;
  const TileProgram* programs_[2] = {};
  std::vector<Tensor> tensors_;
  std::vector<int64_t> tensor_slots_;  // source and slot of each
  std::vector<Contribution> contributions_;
  bool any_tiles_ = false, any_tasks_ = false, any_copies_ = false;  // some tensor goes this way
  bool tiles_by_batch_ = true, tiles_by_head_ = true, tasks_by_head_ = true;
  std::optional<Turns> tile_turns_, task_turns_;
  std::size_t shared_bytes_ = 0, worker_bytes_ = 0;
  std::size_t lists_offset_[2] =
      {};  // in a worker's memory: TileGradient, [task_heads][contributions]
  char* shared_ = nullptr;
};

}  // namespace fovea::cpu
