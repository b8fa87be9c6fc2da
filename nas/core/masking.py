"""Hides passwords and tokens of URLs in everything that is printed or kept."""

import re
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
SHORTEST = 3  # characters of a secret that is hidden wherever it stands

_USER = re.compile(r"([a-z][a-z0-9+.-]*:/+)\S*@", re.IGNORECASE)
_OPTION = re.compile(
    r"([?&;][\w.-]*(?:pass|pwd|secret|token|key|sig|auth|cred)[\w.-]*=)[^\s&;'\"]+", re.IGNORECASE
)
_PASSWORD = re.compile(r"^(?:[^:]*:/+)?[^:@]*:(.*)@", re.DOTALL)  # the scheme may be missing

_secrets: set[str] = set()  # of the URLs that this process was given


def remember_secrets(url: str) -> None:
    """Hide the password and the tokens of a URL from now on, also where they stand alone."""
    found = [*_PASSWORD.findall(url), *(m[len(m.partition("=")[0]) + 1 :] for m in _options(url))]
    _secrets.update(s for text in found for s in (text, unquote(text)) if len(s) >= SHORTEST)


def masked(text: str) -> str:
    """Return the text without the user and the secrets of its URLs.

    >>> masked("cannot open postgresql://me:swordfish@db/nas?sslpassword=x")
    'cannot open postgresql://***@db/nas?sslpassword=***'
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _without_users(text)


def masked_values(data: Any) -> Any:
    """Return nested plain data with the URLs in all text masked, and other text as it is."""
    if isinstance(data, str):
        return _without_users(data)
    if isinstance(data, dict):
        return {key: masked_values(value) for key, value in data.items()}
    return [masked_values(value) for value in data] if isinstance(data, list | tuple) else data


def only_scheme(url: str) -> str:
    """Return what a run keeps of a database's URL.

    >>> only_scheme("postgresql://me:swordfish@db/nas")
    'postgresql://***'
    """
    return f"{url.partition(':')[0]}://{HIDDEN}"


def _without_users(text: str) -> str:
    return _OPTION.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1{HIDDEN}@", text))


def _options(url: str) -> list[str]:
    return [match[0] for match in _OPTION.finditer(url)]
