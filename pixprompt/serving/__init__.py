"""A local model as an endpoint of the Open Inference Protocol v2; `Service` answers without a socket."""

from .limits import Limits
from .messages import Request, Response
from .server import Server
from .service import Service, served_name

__all__ = ["Limits", "Request", "Response", "Server", "Service", "served_name"]
