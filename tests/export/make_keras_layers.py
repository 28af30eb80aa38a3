"""Makes reference/keras2_layers and keras3_layers: one small net with every layer, by Keras itself, and its outputs.

`python make_keras_layers.py FOLDER` with Keras 3 (any backend) or Keras 2 (TensorFlow 2.12) installed; the tests do
not run it. Weights are few and coarse, so that the files pack well. Layers that faceswap adds to Keras are written
here from their description, for Keras 3.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np

MODERN = keras.__version__.startswith("3")
layers = keras.layers


def custom():
    """faceswap's own layers, as far as they do something to numbers."""
    ops = keras.ops

    class Own(layers.Layer):
        extra = ()

        def __init__(self, **settings):
            super().__init__(**{name: settings.pop(name) for name in ("name",) if name in settings})
            self.settings = settings

        def get_config(self):
            return {**super().get_config(), **self.settings}

        def add(self, name, size):
            return self.add_weight(name=name, shape=(size,), initializer="ones")

    class PixelShuffler(Own):
        def call(self, x):
            _, h, w, c = x.shape
            x = ops.reshape(x, (-1, h, w, 2, 2, c // 4))
            return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, 2 * h, 2 * w, c // 4))

    class KResizeImages(Own):
        def call(self, x):
            size = [round(n * self.settings["size"]) for n in x.shape[1:3]]
            return ops.image.resize(x, size, interpolation=self.settings["interpolation"])

    class ReflectionPadding2D(Own):
        def call(self, x):
            stride, kernel = self.settings["stride"], self.settings["kernel_size"]
            total = [max(0, kernel - (n % stride or stride)) for n in x.shape[1:3]]
            return ops.pad(x, [[0, 0], *([t // 2, t - t // 2] for t in total), [0, 0]], mode="reflect")

    class InstanceNormalization(Own):
        def build(self, shape):
            axis = self.settings["axis"]
            self.gamma, self.beta = (self.add(n, 1 if axis is None else shape[axis]) for n in ("gamma", "beta"))
            self.over = [1, 2, 3] if axis is None else [1, 2]

        def call(self, x):
            middle, spread = ops.mean(x, self.over, keepdims=True), ops.std(x, self.over, keepdims=True)
            return (x - middle) / (spread + self.settings["epsilon"]) * self.gamma + self.beta

    class AdaInstanceNormalization(Own):
        def call(self, inputs):
            x, beta, gamma = inputs
            middle, spread = ops.mean(x, [1, 2], keepdims=True), ops.std(x, [1, 2], keepdims=True)
            return (x - middle) / (spread + self.settings["epsilon"]) * gamma + beta

        def compute_output_shape(self, shapes):
            return shapes[0]

    class GroupNormalization(Own):
        def build(self, shape):
            self.gamma, self.beta = self.add("gamma", shape[-1]), self.add("beta", shape[-1])

        def call(self, x):
            _, h, w, c = x.shape
            y = ops.reshape(x, (-1, h, w, self.settings["group"], c // self.settings["group"]))
            middle, spread = (f(y, [1, 2, 4], keepdims=True) for f in (ops.mean, ops.var))
            return ops.reshape((y - middle) / ops.sqrt(spread + 1e-6), (-1, h, w, c)) * self.gamma + self.beta

    class RMSNormalization(Own):
        def build(self, shape):
            self.scale, self.offset = self.add("scale", shape[-1]), self.add("offset", shape[-1])

        def call(self, x):
            mean = ops.mean(ops.square(x), -1, keepdims=True)
            return x * ops.rsqrt(mean + self.settings["epsilon"]) * self.scale + self.offset

    class L2Normalize(Own):
        def call(self, x):
            return ops.normalize(x, self.settings["axis"])

    class Swish(Own):
        def call(self, x):
            return ops.silu(x * self.settings["beta"])

    class QuickGELU(Own):
        def call(self, x):
            return x * ops.sigmoid(1.702 * x)

    class GlobalMinPooling2D(Own):
        def call(self, x):
            return ops.min(x, [1, 2])

    class GlobalStdDevPooling2D(Own):
        def call(self, x):
            return ops.std(x, [1, 2])

    class ScalarOp(Own):
        def call(self, x):
            return x / self.settings["value"]

    def style(x):
        return layers.Reshape((1, 1, 8))(layers.Dense(8)(layers.GlobalAveragePooling2D()(x)))

    return {
        "shuffle": lambda x: PixelShuffler(size=[2, 2])(x),
        "resize_nearest": lambda x: KResizeImages(size=2, interpolation="nearest")(x),
        "resize_bilinear": lambda x: KResizeImages(size=1.5, interpolation="bilinear")(x),
        "reflect": lambda x: layers.Conv2D(3, 5, 2)(ReflectionPadding2D(stride=2, kernel_size=5)(x)),
        "instance": lambda x: InstanceNormalization(axis=None, epsilon=0.001)(x),
        "instance_axis": lambda x: InstanceNormalization(axis=-1, epsilon=0.001)(x),
        "adaptive": lambda x: AdaInstanceNormalization(axis=-1, epsilon=0.001)([x, style(x), style(x)]),
        "group_faceswap": lambda x: GroupNormalization(group=4, axis=[-1], epsilon=1e-6)(x),
        "rms_faceswap": lambda x: RMSNormalization(axis=-1, epsilon=1e-8, partial=0.0, bias=True)(x),
        "l2": lambda x: L2Normalize(axis=-1)(x),
        "l2_vector": lambda x: L2Normalize(axis=1)(layers.Dense(6)(layers.Flatten()(x))),
        "swish": lambda x: Swish(beta=1.5)(x),
        "quick_gelu": lambda x: QuickGELU()(x),
        "minimum": lambda x: GlobalMinPooling2D()(x),
        "deviation": lambda x: GlobalStdDevPooling2D()(x),
        "scalar": lambda x: ScalarOp(operation="truediv", value=3.0)(x),
        "rms_keras": lambda x: layers.RMSNormalization()(x),
    }


def common():
    return {
        "conv_valid": lambda x: layers.Conv2D(4, (3, 3), 2, "valid", activation="relu")(x),
        "conv_odd": lambda x: layers.Conv2D(4, 4, 3, "same", use_bias=False, activation="tanh")(x),
        "conv_dilated": lambda x: layers.Conv2D(4, 3, padding="same", dilation_rate=2, activation="elu")(x),
        "conv_groups": lambda x: layers.Conv2D(6, 3, padding="same", groups=2, activation="swish")(x),
        "depthwise": lambda x: layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)(x),
        "separable": lambda x: layers.SeparableConv2D(5, 5, 2, "same", depth_multiplier=2)(x),
        "transposed": lambda x: layers.Conv2DTranspose(4, 4, 2, "same")(x),
        "transposed_odd": lambda x: layers.Conv2DTranspose(4, 5, 2, "same", use_bias=False)(x),
        "transposed_small": lambda x: layers.Conv2DTranspose(4, 1, 2, "same")(x),
        "transposed_valid": lambda x: layers.Conv2DTranspose(4, 3, 2, "valid")(x),
        "dense_map": lambda x: layers.Dense(4, activation="sigmoid")(x),
        "prelu": lambda x: layers.PReLU(shared_axes=[1, 2])(x),
        "prelu_each": lambda x: layers.PReLU()(x),
        "relu6": lambda x: layers.ReLU(max_value=0.5, negative_slope=0.25)(x),
        "elu": lambda x: layers.ELU(0.5)(x),
        "nearest": lambda x: layers.UpSampling2D((2, 3))(x),
        "bilinear": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x),
        "average": lambda x: layers.AveragePooling2D(3, 1, "same")(x),
        "maximum": lambda x: layers.MaxPooling2D(3, 2, "same")(x),
        "pool_valid": lambda x: layers.MaxPooling2D(2)(x),
        "zeros": lambda x: layers.ZeroPadding2D(((0, 1), (2, 1)))(x),
        "global_average": lambda x: layers.GlobalAveragePooling2D()(x),
        "global_maximum": lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x),
        "batch": lambda x: layers.BatchNormalization()(x),
        "batch_bare": lambda x: layers.BatchNormalization(scale=False, center=False)(x),
        "layer": lambda x: layers.LayerNormalization()(x),
        "layer_all": lambda x: layers.LayerNormalization(axis=[1, 2, 3])(x),
        "layer_vector": lambda x: layers.LayerNormalization()(layers.Dense(6)(layers.Flatten()(x))),
        "group": lambda x: layers.GroupNormalization(4, epsilon=0.01)(x),
        "normalization": lambda x: layers.Normalization()(x),
        "rescaling": lambda x: layers.Rescaling([2.0] * 8, 0.5)(x),
        "numbers": lambda x: (x * 2.0 - 1.0) / 4.0 + 0.25,
        "from_a_number": lambda x: 1.5 - x,
        "merged": lambda x: layers.Multiply()([layers.Subtract()([x, layers.Dropout(0.5)(x * 0.5)]), x]),
        "broadcast": lambda x: layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)]),
        "joined": lambda x: layers.Concatenate(axis=2)([x, layers.GaussianNoise(1)(x)]),
        "reshaped": lambda x: layers.Reshape((4, 10, -1))(x),
    }


def older():
    """What Keras 3 does otherwise on PyTorch, where padding counts if it is not the same on both sides."""
    return {"average_odd": lambda x: layers.AveragePooling2D(3, 2, "same")(x)}


def make(folder):
    folder.mkdir(parents=True)
    face = layers.Input((10, 12, 3), name="face")
    start = layers.Input((10, 12, 3))
    inner = keras.Model(start, layers.LeakyReLU(0.2)(layers.Conv2D(8, 3, padding="same")(start)), name="inner")
    branches = {**common(), **(custom() if MODERN else older())}
    outputs = {}
    for name, branch in branches.items():
        x = branch(inner(face))
        if len(x.shape) == 4:
            outputs[name] = layers.Conv2D(3, 1)(x)
        else:
            outputs[name] = layers.Reshape((2, 2, 3))(layers.Dense(12)(x))
    model = keras.Model(face, list(outputs.values()))
    rng = np.random.default_rng(3)
    for weight in model.weights:
        shape, name = tuple(weight.shape), weight.name
        value = rng.integers(-4, 5, shape) / 8
        if any(word in name for word in ("variance", "gamma", "scale")):
            value = 1 + value / 2
        if "count" not in name:
            weight.assign(value)
    for layer in model.layers:  # what a Normalization has taken from its weights before it is used
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()
    picture = rng.integers(0, 65, (1, 10, 12, 3)).astype(np.float32) / 64
    found = model(picture, training=False)
    arrays = {
        name: np.asarray(value.detach() if MODERN else value)[0] for name, value in zip(outputs, found, strict=True)
    }
    model.save(folder / ("layers.keras" if MODERN else "layers.h5"))
    np.savez(folder / "io.npz", face=picture[0], **arrays)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
