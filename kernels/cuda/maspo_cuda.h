/* The C ABI of the CUDA kernels, the same for the device build (nvcc) and for the emulated one (a
   C++ compiler).

   Every operation is one launcher `int maspo_cuda_<op>(const Maspo<Op>*, void* stream)`. It checks
   the shapes, launches, and returns MASPO_OK, a code below, or a cudaError_t. It allocates nothing,
   waits for nothing and reads no device memory, so it may be called while a CUDA graph is captured.
   What changes from step to step (tokens, positions, slots, tables) lies in device memory; the
   argument structs hold only addresses, sizes of the graph's bucket, and constants of the model.

   Shape alphabet: t rows of a step, n_q query heads, n_kv key/value heads, d head size, v
   vocabulary. Every pointer is a device pointer and aligned to 16 bytes unless said otherwise;
   matrices are row-major. A bf16 number is the upper half of an f32. `counters` are numbers that
   are zero before the first launch and that every launch leaves zero: one array, as long as the
   longest that is asked for, may serve all operations of one stream. A workspace may be shared in
   the same way. */

#ifndef MASPO_CUDA_H
#define MASPO_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Raised whenever a struct, an enum or a packed layout below changes. */
#define MASPO_CUDA_ABI 2
uint32_t maspo_cuda_abi(void);
/* The sizes of the argument structs in the order of their declaration, to compare with the
   caller's; 0 behind the last. */
size_t maspo_cuda_struct_bytes(uint32_t index);
/* What a code of this header or of CUDA means. */
const char* maspo_cuda_error(int code);

enum MaspoCode {
  MASPO_OK = 0,
  MASPO_BAD_SHAPE = 10001, /* a size that the kernel is not made for */
  MASPO_BAD_ENUM = 10002,  /* a format, type or epilogue that there is not */
  MASPO_FAULT = 10003,     /* only emulated: see maspo_emulation_fault */
};

/* Numbers of activations. */
enum MaspoType { MASPO_F32 = 0, MASPO_BF16 = 1 };

/* How the weights of a matrix are kept; the packed ones are described in bricks.h. */
enum MaspoFormat {
  MASPO_ROWS_BF16 = 0,   /* row-major bf16, for the embedding table only */
  MASPO_PACKED_BF16 = 1,
  MASPO_PACKED_Q8_0 = 2, /* from GGUF's blocks of 32: one f16 scale and 32 signed bytes; lossless */
  MASPO_PACKED_Q4_K = 3, /* from GGUF's superblocks of 256; lossless */
  MASPO_PACKED_F8 = 4,   /* e4m3 with one f32 scale a row */
};

/* A slot that nothing is stored in: of rows that only fill up a bucket. */
#define MASPO_NO_SLOT 0xffffffffu

/* out [t, hidden] = rows of the table. A token outside of the vocabulary gives zeros. */
typedef struct MaspoEmbed {
  const void* table;
  const float* row_scales; /* MASPO_PACKED_F8 only */
  const uint32_t* tokens;  /* [t] */
  void* out;
  uint32_t rows, hidden, vocabulary;
  uint32_t format;   /* MaspoFormat */
  uint32_t out_type; /* MaspoType */
} MaspoEmbed;
int maspo_cuda_embed(const MaspoEmbed*, void* stream);

/* x += addend, then out = x / sqrt(mean(x^2) + eps) * weight. */
typedef struct MaspoAddNorm {
  float* x;             /* [.., n], the residual stream */
  const void* addend;   /* [t, n] or null */
  const float* weight;  /* [n] */
  uint16_t* out;        /* [t, n] bf16 */
  const uint32_t* pick; /* [t]: the row of x that row t takes, or null for row t itself; with it there is no addend */
  uint32_t rows, n;     /* n: a multiple of 4, at most 8192 */
  uint32_t addend_type; /* MaspoType */
  float eps;
} MaspoAddNorm;
int maspo_cuda_add_norm(const MaspoAddNorm*, void* stream);

/* Norms and rotates every query and key head; queries go to `q`, keys and values to their slots.
   Keys and values of one layer: [blocks, n_kv, block_tokens, d] bf16 each; slot = block * block_tokens + offset. */
typedef struct MaspoRotate {
  const void* qkv;           /* [t, (n_q + 2 n_kv) * d] */
  const float* q_norm;       /* [d], or null in families without norms of heads */
  const float* k_norm;       /* [d] */
  const float* cos;          /* [positions, d / 2] */
  const float* sin;          /* [positions, d / 2] */
  const uint32_t* positions; /* [t] */
  const uint32_t* slots;     /* [t] */
  uint16_t* q;               /* [t, n_q * d] bf16 */
  uint16_t* keys;
  uint16_t* values;
  uint32_t rows, n_q, n_kv, d; /* d: 64 or 128 */
  uint32_t block_tokens;
  uint32_t qkv_type; /* MaspoType */
  float eps;
} MaspoRotate;
int maspo_cuda_rotate(const MaspoRotate*, void* stream);

/* Attention of single rows (decoding, drafts), each over the first lengths[t] keys of its own table. */
typedef struct MaspoDecodeAttention {
  const uint16_t* q; /* [t, n_q * d] bf16 */
  const uint16_t* keys;
  const uint16_t* values;
  const uint32_t* lengths;      /* [t]: keys that the row sees, its own included; 0: it gets zeros */
  const uint32_t* table_starts; /* [t]: where the row's blocks begin in `tables` */
  const uint32_t* tables;       /* block numbers */
  uint16_t* out;                /* [t, n_q * d] bf16 */
  void* workspace;              /* maspo_cuda_decode_attention_workspace_bytes */
  uint32_t* counters;           /* [t * n_kv] */
  uint32_t rows, n_q, n_kv, d;  /* n_q / n_kv: at most 16 */
  uint32_t block_tokens;        /* a multiple of 16 that divides 64 */
  uint32_t max_length;          /* of the bucket: no length is greater */
  uint32_t spread;              /* blocks that share the keys of a row and head; changes no bit of the result */
} MaspoDecodeAttention;
int maspo_cuda_decode_attention(const MaspoDecodeAttention*, void* stream);
size_t maspo_cuda_decode_attention_workspace_bytes(uint32_t rows, uint32_t n_q, uint32_t d, uint32_t max_length);
/* A `spread` that fills `multiprocessors`. */
uint32_t maspo_cuda_decode_attention_spread(uint32_t rows, uint32_t n_kv, uint32_t max_length,
                                            uint32_t multiprocessors);

/* Consecutive tokens of one sequence, at most maspo_cuda_tile_tokens of them. */
typedef struct MaspoTile {
  uint32_t first_row, tokens;
  /* Of the first token; the keys before it are in the table already (a shared prefix, an earlier
     chunk). */
  uint32_t position;
  uint32_t table_start;
} MaspoTile;

/* Causal attention of rows in tiles (prefill). The result of a row is bit by bit what decode_attention gives for it. */
typedef struct MaspoPrefillAttention {
  const uint16_t* q; /* [t, n_q * d] bf16 */
  const uint16_t* keys;
  const uint16_t* values;
  const MaspoTile* tiles; /* [tile_count] */
  const uint32_t* tables;
  uint16_t* out; /* [t, n_q * d] bf16 */
  uint32_t tile_count, n_q, n_kv, d;
  uint32_t block_tokens;
} MaspoPrefillAttention;
int maspo_cuda_prefill_attention(const MaspoPrefillAttention*, void* stream);
/* Tokens of a full tile: 64 / (n_q / n_kv), rounded down. */
uint32_t maspo_cuda_tile_tokens(uint32_t n_q, uint32_t n_kv);

/* out [t, n] = silu(gate) * up, of gate_up [t, gate n | up n]. n: a multiple of 8. */
typedef struct MaspoSilu {
  const void* gate_up;
  uint16_t* out; /* bf16 */
  uint32_t rows, n;
  uint32_t type; /* MaspoType of gate_up */
} MaspoSilu;
int maspo_cuda_silu(const MaspoSilu*, void* stream);

/* tokens [t] = the column of the largest logit; of equals the lowest; NaN never wins; 0 where no
   logit is above -infinity. */
typedef struct MaspoArgmax {
  const float* logits; /* [t, v], aligned to 4 bytes */
  uint32_t* tokens;    /* [t] */
  float* largest;      /* [t] or null */
  void* workspace;     /* maspo_cuda_argmax_workspace_bytes */
  uint32_t* counters;  /* [t] */
  uint32_t rows, vocabulary;
} MaspoArgmax;
int maspo_cuda_argmax(const MaspoArgmax*, void* stream);
size_t maspo_cuda_argmax_workspace_bytes(uint32_t rows);

/* The most of the largest logits that may be asked for. */
#define MASPO_MOST_TOP 64
/* The column of what is not there: fewer logits than `top` are above -infinity. */
#define MASPO_NO_COLUMN 0xffffffffu

/* Of each row that is asked about: its largest logit and the sum of e^(logit - largest), the logits
   of the columns that are picked, and the `top` largest logits with their columns, the largest
   first and of equals the lowest column first. NaN is never among the largest; it makes the sum
   NaN. All pointers but `workspace` are aligned to 4 bytes. */
typedef struct MaspoScores {
  const float* logits;       /* [.., v] */
  const uint32_t* rows;      /* [asked]: rows of the logits */
  const uint32_t* pick_ends; /* [asked]: where the picks of each end; they begin where those before it end */
  const uint32_t* picks;     /* columns, those of all rows one behind the other */
  float* sums;               /* [asked, 2]: the largest logit, the sum */
  float* picked;             /* the logits of `picks` */
  uint32_t* top_columns;     /* [asked, top] */
  float* top_logits;         /* [asked, top] */
  void* workspace;           /* maspo_cuda_scores_workspace_bytes */
  uint32_t* counters;        /* [asked] */
  uint32_t asked, top;       /* top: at most MASPO_MOST_TOP, or 0 */
  uint32_t vocabulary;
} MaspoScores;
int maspo_cuda_scores(const MaspoScores*, void* stream);
size_t maspo_cuda_scores_workspace_bytes(uint32_t asked, uint32_t top);

/* What becomes of x W^T (+ bias). */
enum MaspoEpilogue {
  MASPO_STORE_F32 = 0,  /* y f32 = */
  MASPO_STORE_BF16 = 1, /* y bf16 = */
  MASPO_ADD_F32 = 2,    /* y f32 += : into the residual stream */
  MASPO_GATED = 3,      /* y [t, outputs / 2] bf16 = silu(gate) * up; the weights are packed as gated */
};

/* y [t, outputs] of x [t, inputs] bf16 and packed weights [outputs, inputs]. */
typedef struct MaspoLinear {
  const uint16_t* x;
  const void* weights;
  const float* row_scales; /* [outputs padded to 16], MASPO_PACKED_F8 only */
  const float* bias;       /* [outputs] in the order of the packed rows' y, or null; not for MASPO_GATED */
  void* y;
  void* workspace;    /* maspo_cuda_linear_workspace_bytes, null where that is 0 */
  uint32_t* counters; /* maspo_cuda_linear_counters, null where that is 0 */
  uint32_t rows, inputs, outputs; /* inputs: a multiple of 8; outputs of MASPO_GATED: gate and up together */
  uint32_t x_stride;  /* numbers from row to row of x, a multiple of 8 */
  uint32_t y_stride;
  uint32_t format;    /* MaspoFormat, packed */
  uint32_t epilogue;  /* MaspoEpilogue */
  /* Parts of the inputs. They are part of the arithmetic: the same for all batch sizes, or results
     depend on the batch. */
  uint32_t splits;
  uint32_t shared_limit; /* bytes of shared memory that a block may have (cudaDevAttrMaxSharedMemoryPerBlockOptin) */
} MaspoLinear;
int maspo_cuda_linear(const MaspoLinear*, void* stream);
/* Splits that fill `multiprocessors`; of the matrix and the device only, never of the batch. */
uint32_t maspo_cuda_linear_splits(uint32_t format, uint32_t inputs, uint32_t outputs, uint32_t multiprocessors);
size_t maspo_cuda_linear_workspace_bytes(uint32_t rows, uint32_t outputs, uint32_t splits);
size_t maspo_cuda_linear_counters(uint32_t rows, uint32_t outputs, uint32_t splits);

/* Packing, on the host; bricks.h says what comes out. `rows` of `inputs` weights each lie in
   `source` as GGUF has them (bf16: 2 bytes a weight; Q8_0: 34 bytes per 32; Q4_K: 144 per 256; a
   row padded to whole blocks; MASPO_PACKED_F8 is made from bf16). With `up`, the result is gated:
   `source` is the gate, and 8 rows of it and 8 of `up` share a brick. Writes
   maspo_cuda_packed_bytes(format, inputs, rows or 2 * rows) bytes to `out`, and for F8 one scale
   per packed row to `row_scales`. Parts of a matrix whose first row is a multiple of 16 (8 when
   gated) may be packed apart, on several threads. */
int maspo_cuda_pack(uint32_t format, const void* source, const void* up, uint32_t rows, uint32_t inputs, void* out,
                    float* row_scales);
size_t maspo_cuda_packed_bytes(uint32_t format, uint32_t inputs, uint32_t outputs);

#ifdef __cplusplus
}
#endif
#endif
