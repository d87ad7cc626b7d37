// Kernels with a mistake each, so that tests can see the emulation find it. Never part of a device
// build.

#include "../device.h"

namespace maspo {

// 0: right. 1: half of the threads skip a barrier. 2: a barrier is missing (right in ascending
// order only). 3: a write behind the shared memory. 4: half a warp skips a shuffle. 5: threads wait
// at different barriers. 6: a copy is read before it is waited for.
static void planted(unsigned mistake, const float* from, float* out) {
  float* shared = shared_memory<float>();
  unsigned i = threadIdx.x;
  copy16_later(shared + 64 + 4 * i, from + 4 * i);
  end_copy_group();
  shared[i] = float(i);
  if (mistake == 3) shared[blockDim.x * 5 + i] = 1;
  if (mistake == 5 && i % 2 == 0) {
    __syncthreads();
  } else if (mistake != 2 && (mistake != 1 || i % 2 == 0)) {
    __syncthreads();
  }
  float before = i > 0 ? shared[i - 1] : 0;
  if (mistake != 4 || i < 16) before += __shfl_xor_sync(FULL, before, 1);
  if (mistake != 6) wait_for_copies<0>();
  out[i] = before + shared[64 + 4 * i];
}

}  // namespace maspo

// `from`: 256 numbers; `out`: 64.
extern "C" int maspo_emulation_planted(uint32_t mistake, const float* from, float* out) {
  return maspo::launch(maspo::planted, dim3(1), dim3(64), 5 * 64 * sizeof(float), nullptr, mistake, from, out);
}
