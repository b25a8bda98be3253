"""Tiny KerasHub detectors with random weights, as folders like those that KerasHub's users keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CLASSES = 4  # of the network in the folder, as if COCO's 80
SIZE = 128  # pixels of the input
STRIDE = 32


def save_retinanet(folder: Path, *, seed: int = 0) -> Path:
    """A RetinaNet on a residual network of four stages with one block each."""
    import keras
    from keras_hub import layers, models

    keras.utils.set_random_seed(seed)
    encoder = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 16, 16, 16],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    backbone = models.RetinaNetBackbone(
        image_encoder=encoder, min_level=3, max_level=7, use_p5=False, image_shape=(None, None, 3)
    )
    # ImageNet's mean and deviation, as the published weights have them
    converter = layers.RetinaNetImageConverter(
        image_size=(SIZE, SIZE), scale=[0.0171, 0.0175, 0.0174], offset=[-2.118, -2.036, -1.804]
    )
    return _save(models.RetinaNetObjectDetector, backbone, converter, folder)


def save_d_fine(folder: Path, *, seed: int = 0) -> Path:
    """A D-FINE on an HGNetV2 of four thin stages, with thirty queries."""
    import keras
    from keras_hub import layers, models

    keras.utils.set_random_seed(seed)
    encoder = models.HGNetV2Backbone(
        stem_channels=[3, 16, 16],
        stackwise_stage_filters=[
            [16, 16, 32, 1, 1, 3],
            [32, 16, 32, 1, 1, 3],
            [32, 16, 32, 1, 1, 5],
            [32, 16, 64, 1, 1, 5],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        depths=[1, 1, 1, 1],
        hidden_sizes=[32, 32, 32, 64],
        embedding_size=16,
        use_learnable_affine_block=True,
        hidden_act="relu",
        image_shape=(None, None, 3),
        out_features=["stage3", "stage4"],
    )
    backbone = models.DFineBackbone(
        backbone=encoder,
        decoder_in_channels=[32, 32],
        encoder_hidden_dim=32,
        num_denoising=10,
        num_labels=CLASSES,
        hidden_dim=32,
        learn_initial_query=False,
        num_queries=30,
        anchor_image_size=(SIZE, SIZE),
        feat_strides=[16, 32],
        num_feature_levels=2,
        encoder_in_channels=[32, 64],
        encode_proj_layers=[1],
        num_attention_heads=4,
        encoder_ffn_dim=32,
        num_encoder_layers=1,
        hidden_expansion=0.34,
        depth_multiplier=0.5,
        eval_idx=-1,
        num_decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=32,
        decoder_n_points=[3, 3],
        lqe_hidden_dim=16,
        num_lqe_layers=2,
        out_features=["stage3", "stage4"],
        image_shape=(None, None, 3),
    )
    return _save(
        models.DFineObjectDetector,
        backbone,
        layers.DFineImageConverter(image_size=(SIZE, SIZE), scale=1 / 255),
        folder,
    )


def _save(kind: Any, backbone: Any, converter: Any, folder: Path) -> Path:
    preprocessor = kind.preprocessor_cls(image_converter=converter)
    kind(backbone=backbone, num_classes=CLASSES, preprocessor=preprocessor).save_to_preset(str(folder))
    return folder


SAVERS = {"retinanet": save_retinanet, "d_fine": save_d_fine}
