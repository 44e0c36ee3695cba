"""Writes the model that answers chats about images: a small Llava with random weights and a vocabulary of 48 words.

What it says means nothing, but depends on the image, 32 x 32, and is the same each time.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

__all__ = ["write_model"]

_SIDE = 32
_PATCH = 8
_SPECIAL = ("<unk>", "<image>", "</s>")
_WORDS = tuple(first + second for first in "bdfgklmnr" for second in ("a", "e", "i", "o", "u"))
_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}"
)


def write_model(folder: Path) -> None:
    """Writes configuration, weights, tokenizer and image processor, as `from_pretrained` reads them."""
    vocabulary = {word: number for number, word in enumerate(_SPECIAL + _WORDS)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>", pad_token="</s>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    LlavaProcessor(
        CLIPImageProcessor(do_resize=False, do_center_crop=False),
        tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE,
    ).save_pretrained(folder)

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**sizes, image_size=_SIDE, patch_size=_PATCH, projection_dim=32),
        text_config=LlamaConfig(**sizes, vocab_size=len(vocabulary), eos_token_id=2, pad_token_id=2),
        image_token_index=vocabulary["<image>"],
        image_seq_length=(_SIDE // _PATCH) ** 2,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim > 1:
                weights.normal_(std=0.3)
    model.generation_config.do_sample = False
    model.generation_config.suppress_tokens = list(range(len(_SPECIAL)))
    model.save_pretrained(folder)


if __name__ == "__main__":
    import sys

    write_model(Path(sys.argv[1]))
