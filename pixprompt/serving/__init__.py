"""A local model as an endpoint of the Open Inference Protocol v2; what it answers is apart from the sockets."""

from .limits import Limits
from .messages import Request, Response
from .server import Server
from .service import Service, served_name

__all__ = ["Limits", "Request", "Response", "Server", "Service", "served_name"]
