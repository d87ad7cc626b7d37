// out [t, n] = silu(gate) * up, of gate_up [t, gate n | up n]: for products that are not gated in
// their own epilogue (cuBLAS).
//
// Launch: 256 threads a block, eight numbers a thread, rows along y.

#include "device.h"

namespace maspo {

static __device__ __forceinline__ void eight_floats(const MaspoSilu& a, size_t at, float (&x)[8]) {
  if (a.type == MASPO_F32) {
    const auto* from = reinterpret_cast<const float4*>(static_cast<const float*>(a.gate_up) + at);
    float4 low = from[0], high = from[1];
    x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w, x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
  } else {
    uint4 words = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(a.gate_up) + at);
    unsigned word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; i++) x[2 * i] = low_bf16(word[i]), x[2 * i + 1] = high_bf16(word[i]);
  }
}

static __global__ void __launch_bounds__(256) silu_kernel(MaspoSilu a) {
  unsigned column = (blockIdx.y * blockDim.x + threadIdx.x) * 8;
  size_t row = blockIdx.x;
  if (column >= a.n) return;
  float gate[8], up[8];
  eight_floats(a, row * 2 * a.n + column, gate);
  eight_floats(a, row * 2 * a.n + a.n + column, up);
  unsigned word[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    word[i] = pack_bf16(__fmul_rn(silu(gate[2 * i]), up[2 * i]), __fmul_rn(silu(gate[2 * i + 1]), up[2 * i + 1]));
  }
  *reinterpret_cast<uint4*>(a.out + row * a.n + column) = make_uint4(word[0], word[1], word[2], word[3]);
}

}  // namespace maspo

extern "C" int maspo_cuda_silu(const MaspoSilu* a, void* stream) {
  using namespace maspo;
  if (a->n == 0 || a->n % 8 != 0) return MASPO_BAD_SHAPE;
  if (a->type > MASPO_BF16) return MASPO_BAD_ENUM;
  if (a->rows == 0) return MASPO_OK;
  return launch(silu_kernel, dim3(a->rows, ceil_div(a->n, 8 * 256u)), dim3(256), 0, stream, *a);
}
