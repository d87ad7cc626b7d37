// How far llama.cpp's logits with quantized weights are from its own with the weights in f32: what
// `maspo bench --against f32` prints for us, by the same protocol and the same measures
// (src/engine/bench/logit_divergence.rs). docs/peers.md says how to build and run it.
//
//     llama-logits REFERENCE.gguf OTHER.gguf [SEQUENCES [SEED]]
//
// The reference keeps keys and values in f32, the other one as llama.cpp does by default. Exit
// codes: 0 done, 1 llama.cpp failed, 2 wrong arguments.

#include "llama.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

static const int START = 32, POSITIONS = 64;

struct Model {
    llama_model * model;
    llama_context * context;
    int vocab;

    Model(const char * path, bool reference) {
        model = llama_model_load_from_file(path, llama_model_default_params());
        if (!model) exit(1);
        llama_context_params params = llama_context_default_params();
        params.n_ctx = params.n_batch = params.n_ubatch = START + POSITIONS;
        params.n_threads = params.n_threads_batch = 2;
        if (reference) {
            params.type_k = params.type_v = GGML_TYPE_F32;
            params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
        }
        context = llama_init_from_model(model, params);
        if (!context) exit(1);
        vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    }

    // The logits of all tokens, which come at `position`.
    std::vector<float> logits(const std::vector<llama_token> & tokens, int position) {
        llama_batch batch = llama_batch_init((int) tokens.size(), 0, 1);
        for (size_t i = 0; i < tokens.size(); i++) {
            batch.token[i] = tokens[i];
            batch.pos[i] = position + (int) i;
            batch.n_seq_id[i] = 1;
            batch.seq_id[i][0] = 0;
            batch.logits[i] = 1;
        }
        batch.n_tokens = (int) tokens.size();
        if (position == 0) llama_memory_clear(llama_get_memory(context), true);
        if (llama_decode(context, batch)) exit(1);
        std::vector<float> rows;
        for (size_t i = 0; i < tokens.size(); i++) {
            const float * row = llama_get_logits_ith(context, (int) i);
            rows.insert(rows.end(), row, row + vocab);
        }
        llama_batch_free(batch);
        return rows;
    }
};

static int largest(const float * row, int count) {
    int best = 0;
    for (int i = 1; i < count; i++) {
        if (row[i] > row[best]) best = i;
    }
    return best;
}

static double log_sum(const float * row, int count) {
    double top = row[largest(row, count)], sum = 0;
    for (int i = 0; i < count; i++) sum += std::exp(row[i] - top);
    return top + std::log(sum);
}

int main(int count, char ** arguments) {
    if (count < 3) {
        fprintf(stderr, "usage: llama-logits REFERENCE.gguf OTHER.gguf [SEQUENCES [SEED]]\n");
        return 2;
    }
    llama_backend_init();
    Model reference(arguments[1], true), other(arguments[2], false);
    const int sequences = count > 3 ? atoi(arguments[3]) : 8, vocab = reference.vocab;
    std::mt19937 random(count > 4 ? atoi(arguments[4]) : 1);
    double squares = 0, variance = 0, same = 0, divergence = 0;
    for (int sequence = 0; sequence < sequences; sequence++) {
        std::vector<llama_token> tokens;
        for (int i = 0; i < START; i++) tokens.push_back((llama_token) (random() % vocab));
        std::vector<float> last = reference.logits(tokens, 0);
        std::vector<float> expected(last.end() - vocab, last.end());
        for (int i = 1; i < POSITIONS; i++) {
            tokens.push_back(largest(expected.data() + expected.size() - vocab, vocab));
            last = reference.logits({tokens.back()}, (int) tokens.size() - 1);
            expected.insert(expected.end(), last.begin(), last.end());
        }
        const std::vector<float> found = other.logits(tokens, 0);
        for (int i = 0; i < POSITIONS; i++) {
            const float * a = expected.data() + (size_t) i * vocab;
            const float * b = found.data() + (size_t) (START - 1 + i) * vocab;
            double mean = 0;
            for (int j = 0; j < vocab; j++) mean += a[j] / (double) vocab;
            const double p = log_sum(a, vocab), q = log_sum(b, vocab);
            for (int j = 0; j < vocab; j++) {
                squares += ((double) a[j] - b[j]) * ((double) a[j] - b[j]);
                variance += (a[j] - mean) * (a[j] - mean);
                divergence += std::exp(a[j] - p) * ((a[j] - p) - (b[j] - q));
            }
            same += largest(a, vocab) == largest(b, vocab);
        }
    }
    const double positions = (double) sequences * POSITIONS;
    printf("%d positions: same greedy token %.1f %%, error of logits %.4f of their deviation, divergence %.6f\n", (int) positions,
           100 * same / positions, std::sqrt(squares / variance), divergence / positions);
}
