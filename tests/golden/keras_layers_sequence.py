"""Recurrent layers and attention of Keras."""

import numpy as np

from golden_io import uniform, rng
from keras_layers import in_order, layer_case


def with_states(layer, inputs, options):
    return layer(inputs[0], initial_state=list(inputs[1:]), **options)


def recurrent(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    for kind in ("SimpleRNN", "LSTM", "GRU"):
        case(f"{kind}_sequences", f"{kind}(3, return_sequences=True)", (2, 4, 2))
        case(f"{kind}_state", f"{kind}(3, return_state=True)", (2, 4, 2))
        case(f"{kind}_sequences_state", f"{kind}(2, return_sequences=True, return_state=True)", (2, 3, 3))
        case(f"{kind}_backwards", f"{kind}(3, go_backwards=True)", (2, 4, 2))
        case(f"{kind}_backwards_sequences", f"{kind}(3, go_backwards=True, return_sequences=True)", (2, 4, 2))
        case(f"{kind}_no_bias", f"{kind}(3, use_bias=False)", (2, 4, 2))
        case(f"{kind}_one_step", f"{kind}(3)", (3, 1, 2))
        case(f"{kind}_long", f"{kind}(2)", (1, 12, 2))
        states = [(2, 3)] * (2 if kind == "LSTM" else 1)
        case(f"{kind}_initial_state", f"{kind}(3, return_sequences=True)", (2, 4, 2), *states, call=with_states)
    case("SimpleRNN_relu", 'SimpleRNN(3, activation="relu")', (2, 4, 2))
    case("LSTM_activations", 'LSTM(3, activation="elu", recurrent_activation="hard_sigmoid")', (2, 4, 2))
    case("GRU_reset_before", "GRU(3, reset_after=False)", (2, 4, 2))
    case("GRU_reset_before_sequences", "GRU(3, reset_after=False, return_sequences=True, return_state=True)", (2, 4, 2))
    case("GRU_reset_before_no_bias", "GRU(3, reset_after=False, use_bias=False)", (2, 4, 2))
    case("LSTM_regularized", 'LSTM(2, kernel_regularizer="l2", recurrent_regularizer="l1", bias_regularizer="l2")', (2, 3, 2))


def bidirectional(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    for mode in ("concat", "sum", "mul", "ave"):
        case(f"Bidirectional_LSTM_{mode}", f'Bidirectional(LSTM(2), merge_mode="{mode}")', (2, 3, 2))
        case(f"Bidirectional_GRU_{mode}_sequences", f'Bidirectional(GRU(2, return_sequences=True), merge_mode="{mode}")', (2, 3, 2))
    case("Bidirectional_GRU_separate", "Bidirectional(GRU(2, return_sequences=True), merge_mode=None)", (2, 3, 2))
    case("Bidirectional_LSTM_separate_last", "Bidirectional(LSTM(2), merge_mode=None)", (2, 3, 2))
    case("Bidirectional_LSTM_state", "Bidirectional(LSTM(2, return_state=True))", (2, 3, 2))
    case("Bidirectional_GRU_sequences_state", "Bidirectional(GRU(2, return_sequences=True, return_state=True))", (2, 3, 2))
    case("Bidirectional_SimpleRNN_sequences", "Bidirectional(SimpleRNN(3, return_sequences=True))", (2, 3, 2))


def attention(out):
    def case(name, options, *shapes, **more):
        layer_case(out, "MultiHeadAttention_" + name, f"MultiHeadAttention({options})", *shapes, call=in_order, **more)

    # Called with query, value and, where there is a third input, key.
    x = uniform(rng("attention to itself"), (2, 3, 4), -2, 2)
    mask = np.array([[[1, 0, 1], [1, 1, 0], [0, 1, 1]], [[1, 1, 1], [1, 0, 0], [0, 0, 1]]], bool)
    wide = np.array([[[1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]]] * 2, bool)
    by_itself = lambda layer, inputs, options: layer(inputs[0], inputs[0], **options)
    layer_case(out, "MultiHeadAttention_self", "MultiHeadAttention(2, 3)", x, call=by_itself)
    layer_case(out, "MultiHeadAttention_self_causal", "MultiHeadAttention(2, 2)", x, call=by_itself, use_causal_mask=True)
    layer_case(out, "MultiHeadAttention_self_masked", "MultiHeadAttention(2, 2)", x, call=by_itself, attention_mask=mask)
    case("cross", "2, 3", (2, 3, 4), (2, 4, 5))
    case("cross_with_key", "2, 2, value_dim=3", (2, 3, 4), (2, 4, 3), (2, 4, 2))
    case("one_head_no_bias", "1, 4, use_bias=False", (2, 3, 4), (2, 2, 4))
    case("value_dim_output_shape", "2, 3, value_dim=2, output_shape=5", (2, 3, 4), (2, 4, 4))
    case("cross_masked", "2, 2", (2, 3, 4), (2, 4, 4), attention_mask=wide)
    case("causal_and_masked", "2, 2", (2, 3, 4), (2, 4, 4), attention_mask=wide, use_causal_mask=True)
    case("fully_masked_row", "2, 2", (1, 2, 3), (1, 3, 3), attention_mask=np.array([[[0, 0, 0], [1, 1, 0]]], bool))
    case("scores", "2, 2", (1, 3, 4), (1, 2, 4), return_attention_scores=True)
    case("regularized", '2, 2, kernel_regularizer="l2", bias_regularizer="l1"', (1, 3, 4), (1, 2, 4))
