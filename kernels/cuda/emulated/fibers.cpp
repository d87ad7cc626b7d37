// The fibers behind fibers.h. One OS thread runs a launch from beginning to end; several threads
// may each run one.

#include "fibers.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "../maspo_cuda.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emulated {

thread_local Place place;

namespace {

constexpr size_t STACK = 96 * 1024;
constexpr size_t GUARD = 256;
constexpr unsigned char GUARD_BYTE = 0xa5;

enum class State { Ready, AtBarrier, AtCollective, Done };

struct Copy {
  void* to;
  const void* from;
  unsigned bytes, valid, group;
};

struct Fiber {
  State state;
  dim3 thread;
  int line;
  unsigned group;
  std::vector<Copy> copies;
#if defined(__x86_64__)
  void* stack_pointer;
#else
  ucontext_t context;
#endif
};

struct WarpState {
  void* inputs[WARP];
  unsigned arrived;
  int line;
};

// Everything about the block that runs.
struct Running {
  std::vector<Fiber> fibers;
  std::vector<unsigned char> stacks;
  std::vector<WarpState> warps;
  std::vector<unsigned char> shared;
  unsigned char* shared_start = nullptr;
  Fiber* now = nullptr;
  void (*thread)(void*) = nullptr;
  void* closure = nullptr;
  bool faulty = false;
  std::string text;
#if defined(__x86_64__)
  void* scheduler = nullptr;
#else
  ucontext_t scheduler;
#endif
};
thread_local Running running;
thread_local unsigned order = 0;
thread_local std::string last_fault;

}  // namespace

#if defined(__x86_64__)
// Keeps what the C ABI wants kept on the old stack, and takes it from the new one.
extern "C" void maspo_emulation_switch(void** keep, void* to);
asm(R"(
.text
.globl maspo_emulation_switch
.hidden maspo_emulation_switch
.type maspo_emulation_switch, @function
maspo_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size maspo_emulation_switch, .-maspo_emulation_switch
.section .note.GNU-stack,"",@progbits
.text
)");
#endif

static void to_scheduler() {
#if defined(__x86_64__)
  maspo_emulation_switch(&running.now->stack_pointer, running.scheduler);
#else
  swapcontext(&running.now->context, &running.scheduler);
#endif
}

static void to_fiber(Fiber& fiber) {
  running.now = &fiber;
  place.thread = fiber.thread;
#if defined(__x86_64__)
  maspo_emulation_switch(&running.scheduler, fiber.stack_pointer);
#else
  swapcontext(&running.scheduler, &fiber.context);
#endif
}

static void fiber_main() {
  running.thread(running.closure);
  wait_for_copies(0);
  running.now->state = State::Done;
  to_scheduler();
  __builtin_unreachable();
}

static void prepare(Fiber& fiber, unsigned char* stack) {
#if defined(__x86_64__)
  auto top = reinterpret_cast<uintptr_t>(stack + STACK) & ~uintptr_t(15);
  auto* slots = reinterpret_cast<void**>(top);
  *--slots = nullptr;                                     // where fiber_main would return to
  *--slots = reinterpret_cast<void*>(&fiber_main);
  for (int i = 0; i < 6; i++) *--slots = nullptr;
  fiber.stack_pointer = slots;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack;
  fiber.context.uc_stack.ss_size = STACK;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
#endif
}

static void record(const char* what, int line) {
  if (running.faulty) return;
  char text[320];
  std::snprintf(text, sizeof text, "%s (line %d, block %u %u %u, thread %u)", what, line, place.block.x, place.block.y,
                place.block.z, place.thread.x);
  running.faulty = true;
  running.text = text;
}

void fault(const char* what, int line) {
  record(what, line);
  // The block is over: this fiber is never run again.
  running.now->state = State::Done;
  to_scheduler();
  __builtin_unreachable();
}

void block_barrier(int line) {
  running.now->state = State::AtBarrier;
  running.now->line = line;
  to_scheduler();
}

void warp_collective(void* mine, void (*all)(void* const[WARP]), int line) {
  unsigned thread = place.thread.x;
  WarpState& warp = running.warps[thread / WARP];
  if (warp.arrived == 0) warp.line = line;
  if (warp.line != line) fault("the lanes of a warp are at different collectives", line);
  warp.inputs[thread % WARP] = mine;
  if (++warp.arrived < WARP) {
    running.now->state = State::AtCollective;
    running.now->line = line;
    to_scheduler();
    return;
  }
  all(warp.inputs);
  warp.arrived = 0;
  for (unsigned i = 0; i < WARP; i++) {
    Fiber& fiber = running.fibers[thread / WARP * WARP + i];
    if (fiber.state == State::AtCollective) fiber.state = State::Ready;
  }
}

static void carry_out(const Copy& copy) {
  if (copy.valid > 0) std::memcpy(copy.to, copy.from, copy.valid);
  std::memset(static_cast<char*>(copy.to) + copy.valid, 0, copy.bytes - copy.valid);
}

// As late as can be; in descending order of threads as early as can be, which shows a copy to where
// others still read.
void copy_later(void* to, const void* from, unsigned bytes, unsigned valid) {
  Copy copy{to, from, bytes, valid, running.now->group};
  if (order == 1) carry_out(copy);
  else running.now->copies.push_back(copy);
}

void end_copy_group() { running.now->group++; }

void wait_for_copies(unsigned groups_left) {
  Fiber& fiber = *running.now;
  auto due = [&](const Copy& copy) { return copy.group + groups_left < fiber.group || groups_left == 0; };
  for (const Copy& copy : fiber.copies) {
    if (due(copy)) carry_out(copy);
  }
  fiber.copies.erase(std::remove_if(fiber.copies.begin(), fiber.copies.end(), due), fiber.copies.end());
}

unsigned char* shared_memory() { return running.shared_start; }

// The `index`-th to run of `count`, in the order that was set.
static unsigned pick(unsigned index, unsigned count) {
  if (order == 0) return index;
  if (order == 1) return count - 1 - index;
  // A step that has no factor with a count of threads (2, 3, 5 and 7 at most) visits all of them;
  // else go straight on.
  constexpr unsigned STEP = 1009;
  return count % STEP == 0 ? index : unsigned((uint64_t(index) * STEP + order) % count);
}

// Whether a lane of the warp that begins at thread `first` can go on.
static bool any_ready(unsigned first) {
  auto lanes = running.fibers.begin() + first;
  return std::any_of(lanes, lanes + WARP, [](const Fiber& fiber) { return fiber.state == State::Ready; });
}

static bool run_block(unsigned threads) {
  for (unsigned i = 0; i < threads; i++) {
    Fiber& fiber = running.fibers[i];
    fiber.state = State::Ready;
    fiber.thread = dim3(i, 0, 0);
    fiber.group = 0;
    fiber.copies.clear();
    prepare(fiber, running.stacks.data() + size_t(i) * STACK);
  }
  for (WarpState& warp : running.warps) warp.arrived = 0;
  for (;;) {
    bool progress = false;
    unsigned waiting = 0, done = 0;
    for (unsigned i = 0; i < threads; i++) {
      unsigned index = pick(i, threads);
      Fiber& fiber = running.fibers[index];
      if (fiber.state == State::Ready) {
        to_fiber(fiber);
        progress = true;
        if (running.faulty) return false;
      }
      // In descending order a warp goes on from collective to collective, as far ahead of the
      // others as barriers let it.
      if (order == 1 && index % WARP == 0 && any_ready(index)) i -= WARP;
    }
    int line = 0;
    bool same = true;
    for (unsigned i = 0; i < threads; i++) {
      const Fiber& fiber = running.fibers[i];
      if (fiber.state == State::Done) done++;
      if (fiber.state != State::AtBarrier) continue;
      if (waiting++ == 0) line = fiber.line;
      same = same && fiber.line == line;
    }
    if (done == threads) return true;
    if (waiting == threads) {
      if (!same) return record("the threads of a block are at different barriers", line), false;
      for (unsigned i = 0; i < threads; i++) running.fibers[i].state = State::Ready;
      continue;
    }
    if (!progress) {
      char text[160];
      std::snprintf(text, sizeof text, "a barrier that not all threads reach: %u of %u wait, %u have ended", waiting, threads,
                    done);
      return record(text, line), false;
    }
  }
}

int run(void (*thread)(void*), void* closure, dim3 blocks, dim3 threads, size_t shared_bytes) {
  if (threads.x == 0 || threads.x % WARP != 0 || threads.x > 1024 || threads.y != 1 || threads.z != 1 || blocks.x == 0 ||
      blocks.y == 0 || blocks.z == 0 || blocks.y > 65535 || blocks.z > 65535) {
    last_fault = "a launch of no thread, of half a warp or of more than CUDA allows";
    return MASPO_FAULT;
  }
  running.thread = thread;
  running.closure = closure;
  running.faulty = false;
  if (running.fibers.size() < threads.x) running.fibers.resize(threads.x);
  if (running.stacks.size() < threads.x * STACK) running.stacks.resize(threads.x * STACK);
  running.warps.resize(threads.x / WARP);
  running.shared.resize(shared_bytes + 2 * GUARD + 128);
  auto start = (reinterpret_cast<uintptr_t>(running.shared.data()) + GUARD + 127) & ~uintptr_t(127);
  running.shared_start = reinterpret_cast<unsigned char*>(start);
  place.threads = threads;
  place.blocks = blocks;
  unsigned count = blocks.x * blocks.y * blocks.z;
  for (unsigned i = 0; i < count && !running.faulty; i++) {
    unsigned index = pick(i, count);
    place.block = dim3(index % blocks.x, index / blocks.x % blocks.y, index / blocks.x / blocks.y);
    unsigned char *from = running.shared_start - GUARD, *to = running.shared_start + shared_bytes;
    std::memset(from, GUARD_BYTE, GUARD);
    std::memset(running.shared_start, 0xff, shared_bytes);
    std::memset(to, GUARD_BYTE, GUARD);
    if (!run_block(threads.x)) break;
    auto whole = [](const unsigned char* guard) {
      return std::all_of(guard, guard + GUARD, [](unsigned char byte) { return byte == GUARD_BYTE; });
    };
    if (!whole(from) || !whole(to)) record("a write outside of shared memory", 0);
  }
  last_fault = running.text;
  return running.faulty ? MASPO_FAULT : MASPO_OK;
}

}  // namespace emulated

extern "C" {
// 0: ascending, 1: descending, else: mixed, starting there. For the calling thread.
void maspo_emulation_order(unsigned order) { emulated::order = order; }

// What the calling thread's last failed launch failed of.
const char* maspo_emulation_fault(void) { return emulated::last_fault.c_str(); }

// How many blocks the calling thread's last launch had, along x, y and z.
void maspo_emulation_blocks(unsigned to[3]) {
  dim3 blocks = emulated::place.blocks;
  to[0] = blocks.x, to[1] = blocks.y, to[2] = blocks.z;
}
}
