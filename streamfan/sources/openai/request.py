"""What a server is asked: the URL, and the body with the fields that somebody set and no others.

A field that a server does not know may be an error there, and the default of one that was left out is the server's.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from streamfan.errors import SpecError, UsageError
from streamfan.source import Message

if TYPE_CHECKING:
    from streamfan.source import Request
    from streamfan.sources.openai.options import ServerOptions

_ENDPOINTS = ("/chat/completions", "/completions")
_VERSION = re.compile(r"v\d+[a-z0-9]*")
_LIMITS = ("max_tokens", "max_completion_tokens")


def base_url(source: str, target: str, schemes: tuple[str, ...]) -> SplitResult:
    """The parts of a server's base URL, with or without `/v1`, or of the whole URL of an endpoint.

    Args:
        source: The name of the source, for errors.

    Raises:
        SpecError: It is none; the text quotes nothing of it, for it may hold a password.
    """
    try:
        parts = urlsplit(target)
        problem = _problem(target, parts, schemes)
    except ValueError:
        parts, problem = SplitResult("", "", "", "", ""), "has a host or a port that cannot be read"
    if problem is not None:
        example = f"{source}:{schemes[0]}://localhost:8000"
        raise SpecError(f"source {source!r}: its URL {problem}\nTry: --source {example}")
    path = parts.path.rstrip("/")
    for endpoint in _ENDPOINTS:
        path = path.removesuffix(endpoint)
    if not any(_VERSION.fullmatch(segment) for segment in path.split("/")):
        path += "/v1"
    return parts._replace(path=path)


def endpoint(base: SplitResult, *, chat: bool) -> str:
    """The URL of the endpoint for chats, or for plain completions."""
    return base._replace(path=base.path + _ENDPOINTS[0 if chat else 1]).geturl()


def shown(base: SplitResult) -> str:
    """The base URL as people may see it: without its query, which may hold a key."""
    return f"{base.scheme}://{base.netloc}{base.path}"


def _problem(target: str, parts: SplitResult, schemes: tuple[str, ...]) -> str | None:
    if any(character <= " " or character == "\x7f" for character in target):
        return "holds white space or control characters"
    if parts.scheme not in schemes:
        return f"begins with neither {' nor '.join(f'{scheme}://' for scheme in schemes)}"
    if "@" in parts.netloc:
        return "holds a user name or password, which would be shown and logged: leave it out, and give the key as such"
    if not parts.hostname:
        return "has no host"
    if "#" in target:
        return "has a fragment (#...), which is never sent: leave it out"
    # These raise ValueError, as urlsplit does: bytes that are no text, a host that no server can have, no port.
    target.encode()
    parts.hostname.encode("idna")
    return "has port 0" if parts.port == 0 else None


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for.

    Attributes:
        chat: Whether messages are asked for, and not text to go on from: a conversation, or a prompt that is a user's
            message, which is what a server takes it for unless told otherwise.
    """

    request: Request
    options: ServerOptions
    chat: bool

    def body(self) -> dict[str, Any]:
        """The body of the request."""
        request, options = self.request, self.options
        wanted: dict[str, Any] = {
            "model": request.model,
            **self._prompt(),
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stop": list(request.stop) or None,
            "n": options.n if options.n > 1 else None,
            "stream_options": {"include_usage": True} if options.usage else None,
        }
        return {key: value for key, value in wanted.items() if value is not None} | options.body | {"stream": True}

    def _prompt(self) -> dict[str, Any]:
        if not self.chat:
            return {"prompt": self.request.prompt}
        said = self.request.messages or (Message("user", self.request.prompt or ""),)
        # What a conversation has been told is newer than what the configuration says.
        if self.options.system is not None and said[0].role != "system":
            said = (Message("system", self.options.system), *said)
        return {"messages": [asdict(message) for message in said]}

    @property
    def max_tokens(self) -> int | None:
        """How many tokens an answer has at most, if anybody has said so."""
        body = self.body()
        return next((body[limit] for limit in reversed(_LIMITS) if type(body.get(limit)) is int), None)

    def body_to_continue(self, text: str, tokens: int) -> dict[str, Any] | None:
        """The body of a request for what follows `text`; None where that has all the tokens that were asked for.

        Args:
            tokens: How many the text has, as far as anybody knows.
        """
        body = self.body()
        for limit in _LIMITS:
            if isinstance(body.get(limit), int):
                body[limit] -= tokens
                if body[limit] <= 0:
                    return None
        if not self.chat:
            return body | {"prompt": f"{body['prompt']}{text}"}
        messages = [*body["messages"], {"role": "assistant", "content": text}]
        # In the words of vLLM; there are none that all servers know.
        return body | {"messages": messages, "continue_final_message": True, "add_generation_prompt": False}


def query(source: str, request: Request, options: ServerOptions) -> Query:
    """What is asked for, if it can be asked.

    Raises:
        UsageError: It cannot.
    """
    if not request.prompt and request.messages is None:
        raise UsageError(f"source {source!r} needs a prompt, and there is none\nTry: streamfan run 'Once upon a time'")
    for text in (request.prompt or "", *(message.content for message in request.messages or ())):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"the prompt is not text in UTF-8: {text!r}") from error
    chat = request.messages is not None or request.chat is not False
    if options.system is not None and not chat:
        raise UsageError("a system message means nothing without a chat\nTry: leave --no-chat or source.system out")
    if options.n > 1 and request.messages is not None:
        raise UsageError("a conversation goes on from one answer, not from several\nTry: leave source.n out")
    if options.n > 1 and options.resume == "continue":
        raise UsageError("several answers cannot be continued\nTry: leave source.n or source.resume out")
    return Query(request, options, chat)
