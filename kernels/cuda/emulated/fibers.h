// Threads of a GPU on a CPU: one fiber per thread, one block of threads after the other. It is for
// checking kernels where there is no GPU, never for running them in earnest. Knows neither CUDA's
// words (emulation.h) nor Metal's (kernels/metal/emulated/), for which a block is a threadgroup and
// a warp a simdgroup.
//
// Fibers run one at a time, in an order that `maspo_emulation_order` sets; a fiber runs until it
// ends or reaches a barrier or a warp collective. So a result that depends on the order betrays a
// missing barrier: the tests run every operation in several orders and want equal bits. In
// descending order a warp also runs as far ahead of the others as barriers let it. Dynamic shared
// memory is filled with NaN before every block and has guards on both sides.
//
// Faults that are found and end the launch with MASPO_FAULT and a text: a barrier or collective
// that not all threads reach, or that they reach at different lines; writing outside of the shared
// memory that was asked for; an access that its helper finds not to be aligned.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace emulated {

constexpr unsigned WARP = 32;

// Where the running fiber is.
struct Place {
  dim3 thread, block, threads, blocks;
};
extern thread_local Place place;

// Waits for all threads of the block.
void block_barrier(int line);

// Waits for the warp; the last lane to come calls `all(inputs of the 32 lanes)`, which may write
// through them.
void warp_collective(void* mine, void (*all)(void* const lanes[WARP]), int line);

// The lane's asynchronous copies: carried out when they are waited for and not earlier, or
// (descending order) at once.
void copy_later(void* to, const void* from, unsigned bytes, unsigned valid);
void end_copy_group();
void wait_for_copies(unsigned groups_left);

unsigned char* shared_memory();

// Ends the launch with an error.
[[noreturn]] void fault(const char* what, int line);

int run(void (*thread)(void*), void* closure, dim3 blocks, dim3 threads, size_t shared_bytes);

template <typename Kernel>
int launch(Kernel&& kernel, dim3 blocks, dim3 threads, size_t shared_bytes) {
  using Closure = std::remove_reference_t<Kernel>;
  return run([](void* closure) { (*static_cast<Closure*>(closure))(); }, &kernel, blocks, threads, shared_bytes);
}

// The value of another lane, chosen by each lane.
template <typename T>
T from_lane(T value, unsigned lane, int line) {
  struct Slot { T value, got; unsigned lane; } slot{value, value, lane};
  warp_collective(&slot, [](void* const lanes[WARP]) {
    for (unsigned i = 0; i < WARP; i++) {
      auto* to = static_cast<Slot*>(lanes[i]);
      to->got = to->lane < WARP ? static_cast<Slot*>(lanes[to->lane])->value : to->value;
    }
  }, line);
  return slot.got;
}

inline unsigned lane() { return place.thread.x % WARP; }

}  // namespace emulated

inline void check_alignment(const void* at, unsigned bytes, int line = __builtin_LINE()) {
  if (reinterpret_cast<uintptr_t>(at) % bytes != 0) emulated::fault("an access that is not aligned", line);
}
