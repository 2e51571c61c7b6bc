"""Convolutions, pooling, resizing: cases of Keras's layers that see neighbours."""

from golden_io import distinct, rng
from keras_layers import layer_case


def convolutions(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    case("Conv1D_valid", "Conv1D(3, 3)", (2, 6, 2))
    case("Conv1D_same_s2", 'Conv1D(3, 4, strides=2, padding="same")', (2, 7, 2))
    case("Conv1D_causal", 'Conv1D(2, 3, padding="causal")', (2, 5, 3))
    case("Conv1D_causal_s2", 'Conv1D(2, 3, strides=2, padding="causal")', (2, 6, 2))
    case("Conv1D_causal_dilation2", 'Conv1D(2, 3, padding="causal", dilation_rate=2)', (1, 7, 2))
    case("Conv1D_dilation3", "Conv1D(2, 2, dilation_rate=3)", (2, 6, 2))
    case("Conv1D_same_dilation2_relu", 'Conv1D(3, 3, padding="same", dilation_rate=2, activation="relu")', (2, 6, 2))
    case("Conv1D_groups2_no_bias", "Conv1D(4, 2, groups=2, use_bias=False)", (2, 5, 4))
    case("Conv2D_valid", "Conv2D(3, (2, 3))", (2, 4, 5, 2))
    case("Conv2D_same_s2_even", 'Conv2D(2, 3, strides=2, padding="same")', (1, 6, 4, 2))
    case("Conv2D_same_s2_odd", 'Conv2D(2, (2, 3), strides=2, padding="same", use_bias=False)', (1, 5, 7, 2))
    case("Conv2D_same_s12", 'Conv2D(2, 3, strides=(1, 2), padding="same", activation="elu")', (1, 4, 5, 2))
    case("Conv2D_valid_s3", "Conv2D(2, 2, strides=3)", (2, 6, 7, 2))
    case("Conv2D_1x1_sigmoid", 'Conv2D(3, 1, activation="sigmoid")', (2, 3, 2, 4))
    case("Conv2D_dilation2", "Conv2D(2, 3, dilation_rate=2)", (1, 6, 7, 2))
    case("Conv2D_same_dilation_1_2", 'Conv2D(2, 3, padding="same", dilation_rate=(1, 2))', (1, 4, 6, 2))
    case("Conv2D_groups2", "Conv2D(4, 3, groups=2)", (2, 4, 4, 6))
    case("Conv2D_groups3_same_s2", 'Conv2D(3, 3, groups=3, strides=2, padding="same")', (1, 5, 4, 3))
    case("DepthwiseConv2D_valid", "DepthwiseConv2D(3)", (2, 4, 5, 3))
    case("DepthwiseConv2D_valid_s2", "DepthwiseConv2D(2, strides=2, depth_multiplier=3)", (1, 5, 6, 2))
    case("DepthwiseConv2D_same_s2", 'DepthwiseConv2D(3, strides=2, padding="same")', (1, 6, 5, 3))
    case("DepthwiseConv2D_dilation2", "DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2, use_bias=False)", (1, 6, 5, 2))
    case("DepthwiseConv2D_same_dilation2_relu", 'DepthwiseConv2D((3, 2), padding="same", dilation_rate=2, activation="relu")', (1, 5, 4, 2))
    case("SeparableConv2D_same", 'SeparableConv2D(3, 3, padding="same", activation="tanh")', (1, 4, 5, 2))
    case("SeparableConv2D_s2_multiplier2", "SeparableConv2D(4, 3, strides=2, depth_multiplier=2)", (1, 6, 5, 2))
    case("SeparableConv2D_same_s2", 'SeparableConv2D(2, (2, 3), strides=2, padding="same", use_bias=False)', (1, 5, 6, 3))
    case("SeparableConv2D_dilation2", "SeparableConv2D(2, 2, dilation_rate=2)", (2, 4, 5, 2))


def transposed(out):
    case = lambda name, options, shape: layer_case(out, "Conv2DTranspose_" + name, f"Conv2DTranspose({options})", shape)
    for padding in ("valid", "same"):
        for stride in (1, 2, 3):
            case(f"{padding}_s{stride}", f'2, 3, strides={stride}, padding="{padding}"', (1, 3, 2, 3))
    case("valid_kernel_below_stride", '2, 2, strides=3, activation="relu"', (1, 2, 3, 2))
    case("same_kernel_below_stride", '2, 2, strides=3, padding="same"', (1, 2, 3, 2))
    case("valid_kernel_2_4", "3, (2, 4), strides=(1, 2), use_bias=False", (2, 3, 2, 2))
    case("same_kernel_4_s2", '2, 4, strides=2, padding="same"', (1, 3, 3, 2))
    case("valid_output_padding_0", "2, 3, strides=2, output_padding=0", (1, 3, 2, 2))
    case("valid_output_padding_1", "2, 3, strides=2, output_padding=1", (1, 3, 2, 2))
    case("same_output_padding_0", '2, 3, strides=2, padding="same", output_padding=0', (1, 3, 2, 2))
    case("same_output_padding_1", '2, 3, strides=2, padding="same", output_padding=1', (1, 3, 2, 2))
    case("same_s3_output_padding_0_2", '2, 3, strides=3, padding="same", output_padding=(0, 2)', (1, 3, 2, 2))


def pools(out):
    def case(name, expression, *shape):
        # Distinct numbers: what a maximum does with ties is told by ops.txt.
        layer_case(out, name, expression, distinct(rng("x" + name), shape))

    for kind in ("Max", "Average"):
        one, two = f"{kind}Pooling1D", f"{kind}Pooling2D"
        case(one + "_valid", one + "(2)", 2, 5, 3)
        case(one + "_same", one + '(2, padding="same")', 2, 5, 3)
        case(one + "_overlapping", one + "(3, strides=1)", 2, 5, 2)
        case(one + "_same_3_s2", one + '(3, strides=2, padding="same")', 2, 6, 2)
        case(two + "_valid", two + "((2, 2))", 2, 4, 5, 2)
        case(two + "_same", two + '(2, padding="same")', 1, 5, 3, 2)
        case(two + "_3_s2_same", two + '(3, strides=2, padding="same")', 1, 6, 5, 2)
        case(two + "_2_3_s1", two + "((2, 3), strides=(1, 2))", 1, 4, 6, 2)
        for rank, shape in (1, (2, 5, 3)), (2, (2, 3, 4, 2)):
            layer = f"Global{kind}Pooling{rank}D"
            case(layer, layer + "()", *shape)
            case(layer + "_keepdims", layer + "(keepdims=True)", *shape)


def resizing(out):
    case = lambda *a, **k: layer_case(out, *a, **k)
    # TensorFlow resizes bilinearly in float32 only; differences of a linear function may be wide.
    bilinear = lambda name, size, shape: case("UpSampling2D_bilinear_" + name, f'UpSampling2D({size}, interpolation="bilinear")', shape, step=1.0)
    case("UpSampling2D_nearest_2", "UpSampling2D()", (2, 2, 3, 2))
    case("UpSampling2D_nearest_3_1", "UpSampling2D((3, 1))", (1, 2, 3, 2))
    bilinear("2", "2", (1, 2, 3, 2))
    bilinear("3_2", "(3, 2)", (2, 3, 2, 1))
    bilinear("one_row", "(2, 4)", (1, 1, 3, 2))
    case("ZeroPadding2D_default", "ZeroPadding2D()", (2, 2, 3, 2))
    case("ZeroPadding2D_2_1", "ZeroPadding2D((2, 1))", (1, 2, 2, 3))
    case("ZeroPadding2D_four", "ZeroPadding2D(((0, 2), (3, 1)))", (1, 2, 3, 2))
    case("Cropping2D_1", "Cropping2D(1)", (2, 3, 4, 2))
    case("Cropping2D_1_2", "Cropping2D((1, 2))", (1, 4, 5, 2))
    case("Cropping2D_four", "Cropping2D(((0, 1), (2, 0)))", (2, 3, 4, 1))
