// Reads a state of a corpus with the llama.cpp that it is linked with, and compares what the model says after it with what was
// expected: reader CASE MODEL.gguf, where CASE is a folder of the corpus. It needs llama.h alone. Ends with 0 where both are the
// same but for rounding, 1 where they are not or the state is refused, 2 where it could not be tried. `intact corpus` writes it.
#include "llama.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// How far apart logits may be that other kernels computed, in normalised mean squared error.
#define NEAR 1e-3

static int cannot(const char * what, const char * which) {
    fprintf(stderr, "cannot be tried: %s %s\n", what, which);
    exit(2);
}

static int fails(const char * what) {
    fprintf(stderr, "FAIL: %s\n", what);
    return 1;
}

// The numbers of a line of the case: how many, and then each.
static int * numbers(FILE * file, const char * name, int * count) {
    char word[32];
    if (fscanf(file, "%31s %d", word, count) != 2 || strcmp(word, name) != 0 || *count < 0 || *count > 1000000) {
        cannot("no such line in the case:", name);
    }
    int * all = calloc(*count + 1, sizeof *all);
    for (int i = 0; i < *count; i++) {
        if (fscanf(file, "%d", &all[i]) != 1) {
            cannot("too few numbers in the case:", name);
        }
    }
    return all;
}

static enum ggml_type kv_type(const char * name) {
    for (int kind = 0; kind < GGML_TYPE_COUNT; kind++) {
        const char * known = ggml_type_name((enum ggml_type) kind);
        if (known != NULL && strcmp(known, name) == 0) {
            return (enum ggml_type) kind;
        }
    }
    cannot("no type of K and V:", name);
    return GGML_TYPE_F16;
}

static void quiet(enum ggml_log_level level, const char * text, void * user) {
    (void) user;
    if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

int main(int count, char ** words) {
    if (count != 3) {
        cannot("usage: reader CASE MODEL.gguf", "");
    }
    char path[4096], kv[32];
    int n_ctx = 0, n_tokens = 0, n_next = 0;
    snprintf(path, sizeof path, "%s/case.txt", words[1]);
    FILE * file = fopen(path, "r");
    if (file == NULL || fscanf(file, "kv %31s n_ctx %d", kv, &n_ctx) != 2) {
        cannot("no case:", path);
    }
    int * tokens = numbers(file, "tokens", &n_tokens);
    int * next = numbers(file, "continuation", &n_next);
    fclose(file);

    llama_log_set(quiet, NULL);
    llama_backend_init();
    ggml_backend_load_all();
    struct llama_model * model = llama_model_load_from_file(words[2], llama_model_default_params());
    if (model == NULL) {
        cannot("no model:", words[2]);
    }
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = n_ctx;
    params.type_k = params.type_v = kv_type(kv);
    struct llama_context * context = llama_init_from_model(model, params);
    if (context == NULL) {
        cannot("no context with K and V in", kv);
    }

    snprintf(path, sizeof path, "%s/state.bin", words[1]);
    llama_token * loaded = calloc(n_tokens + 1, sizeof *loaded);
    size_t n_loaded = 0;
    if (llama_state_seq_load_file(context, path, 0, loaded, n_tokens + 1, &n_loaded) == 0) {
        return fails("the state is refused");
    }
    // The last token may be one that was not evaluated yet: it is in no state.
    if (n_loaded > (size_t) n_tokens || memcmp(loaded, tokens, n_loaded * sizeof *tokens) != 0) {
        return fails("the state is of other tokens");
    }

    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    const int held = llama_memory_seq_pos_max(llama_get_memory(context), 0) + 1;
    if (held < 1 || held > (int) n_loaded) {
        return fails("the state is of another length");
    }
    snprintf(path, sizeof path, "%s/logits.f32", words[1]);
    file = fopen(path, "rb");
    if (file == NULL) {
        cannot("no logits:", path);
    }
    float * row = calloc(n_vocab, sizeof *row);
    double error = 0, energy = 0;
    int compared = 0;
    // Row 0 is what the model says after the tokens, and row i what it says after the i-th of the continuation.
    for (int at = held - n_tokens; at <= n_next; at++) {
        if (at > held - n_tokens) {
            llama_token token = at <= 0 ? tokens[n_tokens + at - 1] : next[at - 1];
            if (llama_decode(context, llama_batch_get_one(&token, 1)) != 0) {
                return fails("nothing can be evaluated after the state");
            }
        }
        if (at < 0) {
            continue;
        }
        if (fread(row, sizeof *row, n_vocab, file) != (size_t) n_vocab) {
            cannot("too few logits:", path);
        }
        if (at == held - n_tokens) {
            continue; // The state held all tokens: what was said after the last of them is gone.
        }
        const float * said = llama_get_logits_ith(context, -1);
        for (int i = 0; i < n_vocab; i++) {
            error += ((double) said[i] - row[i]) * ((double) said[i] - row[i]);
            energy += (double) row[i] * row[i];
        }
        compared++;
    }
    const double nmse = energy > 0 ? error / energy : INFINITY;
    printf("%s: %d rows of logits, NMSE %.1e\n", words[1], compared, nmse);
    return compared > 0 && nmse <= NEAR ? 0 : fails("the model says something else after this state");
}
