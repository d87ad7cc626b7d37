// Runs the kernels on a CPU by name, as Metal does: a grid of threadgroups over arguments.
// `maspo.metal` is the text that a Mac would compile, all kernels in one; whoever compiles this
// file writes it.

#include "maspo.metal"

#define RUN(NAME) \
  if (std::strcmp(name, #NAME) == 0) run = [](const void* arguments) { run_thread(NAME, arguments); };

// Of a kernel that there is not.
constexpr int NO_KERNEL = 1;

extern "C" int maspo_metal_run(const char* name, const void* arguments, const uint32_t threadgroups[3], uint32_t threads,
                               uint32_t threadgroup_bytes) {
  void (*run)(const void*) = nullptr;
  RUN(maspo_embed)
  RUN(maspo_add_norm)
  RUN(maspo_rotate)
  RUN(maspo_decode_attention)
  RUN(maspo_prefill_attention)
  RUN(maspo_argmax)
  RUN(maspo_scores)
  RUN(maspo_linear_bf16_1)
  RUN(maspo_linear_bf16_2)
  RUN(maspo_linear_bf16_4)
  RUN(maspo_linear_bf16_8)
  RUN(maspo_linear_q8_0_1)
  RUN(maspo_linear_q8_0_2)
  RUN(maspo_linear_q8_0_4)
  RUN(maspo_linear_q8_0_8)
  RUN(maspo_linear_q4_k_1)
  RUN(maspo_linear_q4_k_2)
  RUN(maspo_linear_q4_k_4)
  RUN(maspo_linear_q4_k_8)
  if (!run) return NO_KERNEL;
  return emulated::launch([&] { run(arguments); }, dim3(threadgroups[0], threadgroups[1], threadgroups[2]), dim3(threads),
                          threadgroup_bytes);
}

// The sizes of the argument structs in the order of maspo_cuda_struct_bytes; 0 for the one that has
// no kernel here, and behind the last.
extern "C" size_t maspo_metal_struct_bytes(uint32_t index) {
  const size_t sizes[] = {sizeof(MaspoEmbed), sizeof(MaspoAddNorm), sizeof(MaspoRotate), sizeof(MaspoDecodeAttention), sizeof(MaspoTile),
                          sizeof(MaspoPrefillAttention), 0, sizeof(MaspoArgmax), sizeof(MaspoScores), sizeof(MaspoLinear)};
  return index < sizeof(sizes) / sizeof(sizes[0]) ? sizes[index] : 0;
}
