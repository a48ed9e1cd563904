// SPDX-License-Identifier: Apache-2.0
#include "cpu/attention/backward_captures.h"

#include <algorithm>
#include <cstring>

#include "attention/element_access.h"

namespace fovea::cpu {
namespace {

using analysis::IndexClass;
using attention::BackwardProblem;
using attention::Problem;

// A copy costs about as much as the elements of a tile do; larger ones are not worth their memory.
constexpr int64_t kLargestCopy = int64_t{4} << 20;  // elements

std::size_t align(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

void take(std::size_t& bytes, std::size_t& offset, int64_t count, std::size_t size) {
  offset = bytes;
  bytes += align(static_cast<std::size_t>(count) * size);
}

template <class T>
T* at(char* memory, std::size_t offset) {
  return reinterpret_cast<T*>(memory + offset);
}

// Zeros, by all threads: a bias may be as large as the scores are.
void clear(char* memory, std::size_t bytes, Executor& executor) {
  constexpr std::size_t kStep = std::size_t{1} << 20;
  executor.parallel(static_cast<int64_t>((bytes + kStep - 1) / kStep), [&](int64_t step, int) {
    const std::size_t first = static_cast<std::size_t>(step) * kStep;
    std::memset(memory + first, 0, std::min(kStep, bytes - first));
  });
}

bool is_summed(IndexClass index) {
  return index != IndexClass::tile && index != IndexClass::gathered;
}

}  // namespace

CapturedGradients::CapturedGradients(const BackwardPrograms& programs,
                                     const BackwardProblem& problem, const CaptureTasks& tasks)
    : problem_(problem.forward), tasks_(tasks), programs_{&programs.scores, &programs.weights} {
  add_source(0, programs.scores, problem_.score_mod, problem.score_captures);
  add_source(1, programs.weights, problem_.weight_mod, problem.weight_captures);
  for (std::size_t i = 0; i < tensors_.size(); ++i) choose_way(i);
  for (const Tensor& tensor : tensors_) {
    if (tensor.way == Way::tiles) {
      any_tiles_ = true;
      tiles_by_batch_ = tiles_by_batch_ && tensor.by_batch;
      tiles_by_head_ = tiles_by_head_ && tensor.by_head;
    } else if (tensor.way == Way::copies || tensor.way == Way::tasks) {
      any_copies_ = any_copies_ || tensor.way == Way::copies;
      any_tasks_ = any_tasks_ || tensor.way == Way::tasks;
      tasks_by_head_ = tasks_by_head_ && tensor.by_batch && tensor.by_head;
    }
  }
  if (any_tiles_ && tasks_.heads > 0 && tasks_.tiles > 0) {
    tile_turns_.emplace(tile_place(tasks_.heads - 1, tasks_.tiles - 1).line + 1);
  }
  if (any_tasks_ || any_copies_) task_turns_.emplace(tasks_by_head_ ? tasks_.heads : 1);
  place_memory();
}

void CapturedGradients::add_source(std::size_t source, const TileProgram& program,
                                   const Program& mod, const std::vector<TensorView>& gradients) {
  // A tensor that nothing contributes to gets zeros.
  for (std::size_t slot = 0; slot < gradients.size(); ++slot) {
    if (gradients[slot]) tensor_of(source, static_cast<int32_t>(slot), gradients[slot]);
  }
  const auto list = program.contributions();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto slot = static_cast<std::size_t>(list[i].slot);
    if (list[i].of_param || slot >= gradients.size() || !gradients[slot]) continue;
    Contribution& c = contributions_.emplace_back();
    c.source = source;
    c.index = i;
    c.tensor = tensor_of(source, list[i].slot, gradients[slot]);
    c.to = list[i];
    c.summed = is_summed(c.to.classes.index);
    if (!c.summed) continue;
    c.all = sum_range(c.to.classes.index, 0, problem_.q_len, 0, problem_.kv_len);
    c.count = sum_range(c.to.classes.index, 0, problem_.q_len, 0, tasks_.chunk_keys).count;
    c.scatter = std::make_shared<GradientScatter>(*program.joint(), mod, i);
  }
}

std::size_t CapturedGradients::tensor_of(std::size_t source, int32_t slot,
                                         const TensorView& gradient) {
  const int64_t key = static_cast<int64_t>(slot) * 2 + static_cast<int64_t>(source);
  const auto found = std::find(tensor_slots_.begin(), tensor_slots_.end(), key);
  if (found != tensor_slots_.end()) {
    return static_cast<std::size_t>(found - tensor_slots_.begin());
  }
  tensor_slots_.push_back(key);
  tensors_.emplace_back().gradient = gradient;
  return tensors_.size() - 1;
}

// Whether one of the indices is the batch or the head itself: then no two of them share an address.
bool CapturedGradients::is_input(const Contribution& c, bool batch) const {
  const program::JointProgram& joint = *programs_[c.source]->joint();
  const auto wanted = static_cast<int32_t>(batch ? program::Input::b : program::Input::h);
  for (const program::NodeId id : joint.captures[c.index].index) {
    const program::Node& node = (*joint.graph)[id];
    if (node.op == program::Op::input && node.slot == wanted) return true;
  }
  return false;
}

void CapturedGradients::choose_way(std::size_t index) {
  Tensor& tensor = tensors_[index];
  int64_t count = 0;
  bool gathered = false;
  tensor.by_batch = tensor.by_head = true;
  for (const Contribution& c : contributions_) {
    if (c.tensor != index || c.summed) continue;
    ++count;
    gathered = gathered || c.to.classes.index == IndexClass::gathered;
    tensor.by_batch = tensor.by_batch && (problem_.batch == 1 || is_input(c, true));
    tensor.by_head = tensor.by_head && (problem_.q_heads == 1 || is_input(c, false));
  }
  if (count == 0) return;
  if (count == 1 && !gathered) {
    const bool batches_apart = tensor.by_batch || tasks_.batches_together;
    tensor.way = batches_apart && tensor.by_head ? Way::direct : Way::tiles;
    return;
  }
  const int64_t elements = problem_.q_len * tasks_.chunk_keys * tasks_.task_heads;
  const int64_t size = tensor.gradient.numel();
  tensor.way = size <= std::min(elements, kLargestCopy) ? Way::copies : Way::tasks;
}

void CapturedGradients::place_memory() {
  for (Tensor& tensor : tensors_) {
    const int64_t size = tensor.gradient.numel();
    if (tensor.way == Way::copies) {
      take(worker_bytes_, tensor.copy_offset, size, sizeof(float));
    } else if (is_summed_apart(tensor)) {
      take(shared_bytes_, tensor.sums_offset, size, sizeof(float));
    }
  }
  const int64_t heads = problem_.batch * problem_.q_heads;
  for (Contribution& c : contributions_) {
    if (!c.summed) continue;
    take(shared_bytes_, c.all_offset, heads * c.all.count, sizeof(float));
    take(shared_bytes_, c.total_offset, c.all.count, sizeof(double));
    take(worker_bytes_, c.own_offset, tasks_.task_heads * c.count, sizeof(float));
  }
  if (!any()) return;
  for (std::size_t source = 0; source < 2; ++source) {
    const auto count = static_cast<int64_t>(programs_[source]->contributions().size());
    take(worker_bytes_, lists_offset_[source], tasks_.task_heads * count, sizeof(TileGradient));
  }
}

// Of one chunk: what its elements may be added to. The last chunk may have fewer keys.
SumRange CapturedGradients::range(const Contribution& c, int64_t chunk) const {
  const int64_t first = chunk * tasks_.chunk_keys;
  const int64_t keys = std::min(tasks_.chunk_keys, problem_.kv_len - first);
  return sum_range(c.to.classes.index, 0, problem_.q_len, first, keys);
}

// Heads that share addresses take turns at each tile.
Turns::Place CapturedGradients::tile_place(int64_t head, int64_t tile) const {
  const int64_t batch = head / problem_.kv_heads, kv_head = head % problem_.kv_heads;
  if (tiles_by_head_) return {kv_head * tasks_.tiles + tile, batch};
  if (tiles_by_batch_) return {batch * tasks_.tiles + tile, kv_head};
  return {tile, head};
}

Turns::Place CapturedGradients::task_place(int64_t head, int64_t chunk) const {
  if (tasks_by_head_) return {head, chunk};
  return {0, chunk * tasks_.heads + head};
}

bool CapturedGradients::is_summed_apart(const Tensor& tensor) {
  return tensor.way != Way::none && tensor.way != Way::copies &&
         tensor.gradient.dtype != DType::f32;
}

void CapturedGradients::begin(void* shared, Executor& executor) {
  shared_ = static_cast<char*>(shared);
  for (const Tensor& tensor : tensors_) {
    const TensorView& gradient = tensor.gradient;
    const auto size = static_cast<std::size_t>(gradient.numel());
    if (gradient.is_contiguous()) {
      clear(static_cast<char*>(gradient.data), size * size_of(gradient.dtype), executor);
    } else {
      attention::store_zeros(gradient);
    }
    if (is_summed_apart(tensor))
      clear(shared_ + tensor.sums_offset, size * sizeof(float), executor);
  }
  const int64_t heads = problem_.batch * problem_.q_heads;
  for (const Contribution& c : contributions_) {
    if (!c.summed) continue;
    const auto size = static_cast<std::size_t>(heads * c.all.count);
    clear(shared_ + c.all_offset, size * sizeof(float), executor);
  }
}

TileGradient CapturedGradients::target(const Tensor& tensor, char* worker) const {
  TileGradient to;
  const TensorView& gradient = tensor.gradient;
  Dims strides = contiguous_strides(gradient.sizes);
  if (tensor.way == Way::copies) {
    to.data = at<float>(worker, tensor.copy_offset);
  } else if (gradient.dtype != DType::f32) {
    to.data = at<float>(shared_, tensor.sums_offset);
  } else {
    to.data = static_cast<float*>(gradient.data);
    strides = gradient.strides;
  }
  for (int i = 0; i < gradient.rank(); ++i) {
    to.sizes[i] = gradient.size(i);
    to.strides[i] = strides[i];
  }
  return to;
}

CapturedGradients::Task::Task(CapturedGradients& all, int64_t head, int64_t chunk, void* memory)
    : all_(all), head_(head), chunk_(chunk), memory_(static_cast<char*>(memory)) {
  if (!all_.any()) return;
  if (all_.task_turns_) task_turn_.emplace(*all_.task_turns_, all_.task_place(head, chunk));
  if (all_.any_tasks_) task_turn_->wait();
  clear();
  for (std::size_t source = 0; source < 2; ++source) {
    for (int64_t i = 0; i < all_.tasks_.task_heads; ++i) place(source, i);
  }
}

void CapturedGradients::Task::clear() const {
  for (const Contribution& c : all_.contributions_) {
    if (!c.summed) continue;
    const int64_t count = all_.tasks_.task_heads * c.count;
    std::memset(memory_ + c.own_offset, 0, static_cast<std::size_t>(count) * sizeof(float));
  }
  for (const Tensor& tensor : all_.tensors_) {
    if (tensor.way != Way::copies) continue;
    std::memset(memory_ + tensor.copy_offset, 0,
                static_cast<std::size_t>(tensor.gradient.numel()) * sizeof(float));
  }
}

const TileGradient* CapturedGradients::Task::gradients(std::size_t source, int64_t head) const {
  if (!all_.any()) return nullptr;
  const auto count = static_cast<int64_t>(all_.programs_[source]->contributions().size());
  return at<TileGradient>(memory_, all_.lists_offset_[source]) + head * count;
}

void CapturedGradients::Task::place(std::size_t source, int64_t head) const {
  auto* list = const_cast<TileGradient*>(gradients(source, head));
  std::fill_n(list, all_.programs_[source]->contributions().size(), TileGradient{});
  for (const Contribution& c : all_.contributions_) {
    if (c.source != source) continue;
    if (c.summed) {
      list[c.index].data = at<float>(memory_, c.own_offset) + head * c.count;
      list[c.index].first = all_.range(c, chunk_).first;
    } else {
      list[c.index] = all_.target(all_.tensors_[c.tensor], memory_);
    }
  }
}

void CapturedGradients::Task::begin_tile(int64_t tile) {
  if (!all_.tile_turns_) return;
  tile_turn_.emplace(*all_.tile_turns_, all_.tile_place(head_, tile));
  tile_turn_->wait();
}

void CapturedGradients::Task::end_tile() { tile_turn_.reset(); }

void CapturedGradients::Task::add_sums() const {
  const Problem& p = all_.problem_;
  for (const Contribution& c : all_.contributions_) {
    if (!c.summed) continue;
    const SumRange own = all_.range(c, chunk_);
    for (int64_t i = 0; i < all_.tasks_.task_heads; ++i) {
      const int64_t first_batch = all_.tasks_.batches_together ? 0 : head_ / p.kv_heads;
      const int64_t b = first_batch + i / p.group();
      const int64_t h = head_ % p.kv_heads * p.group() + i % p.group();
      const float* from = at<float>(memory_, c.own_offset) + i * c.count;
      float* to = at<float>(all_.shared_, c.all_offset) + (b * p.q_heads + h) * c.all.count +
                  (own.first - c.all.first);
      for (int64_t k = 0; k < own.count; ++k) to[k] += from[k];
    }
  }
}

void CapturedGradients::add_copies(const Tensor& tensor, const char* worker) const {
  const auto* from = reinterpret_cast<const float*>(worker + tensor.copy_offset);
  const TensorView& to = tensor.gradient;
  const bool plain = to.is_contiguous() && to.dtype == DType::f32;
  if (plain) {
    auto* data = static_cast<float*>(to.data);
    for (int64_t i = 0; i < to.numel(); ++i) data[i] += from[i];
    return;
  }
  attention::for_each_element(to, [&](int64_t place, int64_t ordinal) {
    const double sum = attention::load_element(to, place) + static_cast<double>(from[ordinal]);
    attention::store_element(to, place, sum);
  });
}

void CapturedGradients::Task::finish() {
  if (!task_turn_) return;
  task_turn_->wait();
  for (const Tensor& tensor : all_.tensors_) {
    if (tensor.way == Way::copies) all_.add_copies(tensor, memory_);
  }
  task_turn_.reset();
}

// Heads and batches that the indices do not tell apart are added up first: there is less to scatter.
void CapturedGradients::scatter(const Contribution& c) const {
  const int64_t count = c.all.count;
  if (count == 0) return;
  const auto* sums = reinterpret_cast<const float*>(shared_ + c.all_offset);
  auto* total = at<double>(shared_, c.total_offset);
  const int64_t batches = problem_.batch, heads = problem_.q_heads;
  const bool by_batch = c.to.classes.reads_b, by_head = c.to.classes.reads_h;
  for (int64_t b = 0; b < (by_batch ? batches : std::min<int64_t>(batches, 1)); ++b) {
    for (int64_t h = 0; h < (by_head ? heads : std::min<int64_t>(heads, 1)); ++h) {
      std::fill_n(total, count, 0.0);
      for (int64_t i = b; i < (by_batch ? b + 1 : batches); ++i) {
        for (int64_t j = h; j < (by_head ? h + 1 : heads); ++j) {
          const float* from = sums + (i * heads + j) * count;
          for (int64_t k = 0; k < count; ++k) total[k] += static_cast<double>(from[k]);
        }
      }
      c.scatter->add(b, h, c.all.first,
                     std::span<const double>(total, static_cast<std::size_t>(count)),
                     tensors_[c.tensor].gradient);
    }
  }
}

void CapturedGradients::finish(Executor& executor) {
  executor.parallel(static_cast<int64_t>(tensors_.size()), [this](int64_t index, int) {
    const Tensor& tensor = tensors_[static_cast<std::size_t>(index)];
    const bool apart =
        tensor.way != Way::none && tensor.way != Way::copies && tensor.gradient.dtype != DType::f32;
    if (apart) {
      const auto* sums = reinterpret_cast<const float*>(shared_ + tensor.sums_offset);
      attention::for_each_element(tensor.gradient, [&](int64_t place, int64_t ordinal) {
        attention::store_element(tensor.gradient, place, static_cast<double>(sums[ordinal]));
      });
    }
    for (const Contribution& c : contributions_) {
      if (c.summed && c.tensor == static_cast<std::size_t>(index)) scatter(c);
    }
  });
}

}  // namespace fovea::cpu
