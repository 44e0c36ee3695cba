"""The forms of request that hold images, in the order in which a request is compared with them."""

from .chat import ChatForm
from .form import Form, FormOptions, Prompted, Shares
from .huggingface import HuggingFaceForm
from .tf_serving import TFServingForm
from .v2 import V2Form

__all__ = ["FORMS", "Form", "FormOptions", "Prompted", "Shares"]

FORMS: tuple[type[Form], ...] = (V2Form, ChatForm, TFServingForm, HuggingFaceForm)
