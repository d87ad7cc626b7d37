// What a caller asks before it launches anything: the version of the ABI, the sizes of its structs,
// the meaning of codes.

#include "device.h"

extern "C" uint32_t maspo_cuda_abi(void) { return MASPO_CUDA_ABI; }

extern "C" size_t maspo_cuda_struct_bytes(uint32_t index) {
  const size_t sizes[] = {
      sizeof(MaspoEmbed), sizeof(MaspoAddNorm),          sizeof(MaspoRotate), sizeof(MaspoDecodeAttention),
      sizeof(MaspoTile),  sizeof(MaspoPrefillAttention), sizeof(MaspoSilu),   sizeof(MaspoArgmax),
      sizeof(MaspoScores), sizeof(MaspoLinear)};
  return index < sizeof(sizes) / sizeof(sizes[0]) ? sizes[index] : 0;
}

extern "C" const char* maspo_cuda_error(int code) {
  switch (code) {
    case MASPO_OK: return "no error";
    case MASPO_BAD_SHAPE: return "a size that the kernel is not made for";
    case MASPO_BAD_ENUM: return "an unknown format, type or epilogue";
    case MASPO_FAULT: return "the emulation found a fault";
    default:
#ifdef MASPO_EMULATED
      return "unknown error";
#else
      return cudaGetErrorString(static_cast<cudaError_t>(code));
#endif
  }
}
