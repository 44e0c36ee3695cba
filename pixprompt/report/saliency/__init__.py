"""Saliency maps: Grad-CAM and occlusion."""
