"""How services want their files asked for: not at all, with tokens of Planetary Computer, with keys of Copernicus."""

from __future__ import annotations

import datetime
import json
import os
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cropflow.config.addresses import public
from cropflow.errors import CropflowError
from cropflow.files.remote import GoneError, TransientError
from cropflow.imagery.items import Item
from cropflow.imagery.stac.web import Signed, Web, own_account

# A signature with less time left is made anew: a request may wait for its turn, and take its time.
SLACK_S = 300.0


class Unsigned:
    """A :class:`cropflow.imagery.stac.web.Signer` of files that anybody may read, or the account of ``~/.netrc``."""

    def sign(self, address: str) -> Signed:
        """The address as it is, with the user's own account of its host."""
        if urlsplit(address).scheme not in ("http", "https"):
            raise CropflowError(
                f"{public(address)} is no http(s) address; expected one, or the provider that reads such addresses. "
                "Set imagery.<name>.provider, or choose another collection."
            )
        return Signed(address, own_account(address))

    def renew(self, address: str, refused: Signed) -> bool:
        """There is nothing to renew."""
        return False

    def cure(self, address: str) -> str:
        """What to do where it is refused."""
        return "It wants an account: put one for this host into ~/.netrc, or choose a provider that cropflow signs for."


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    # On the clock of time.time.
    until_s: float

    @property
    def fresh(self) -> bool:
        return self.until_s - time.time() > SLACK_S


@dataclass
class _Container:
    token: _Token | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class PlanetaryComputer:
    """Signs addresses of Azure's blob storage with the tokens that Planetary Computer hands out, one a container.

    Args:
        web: Who asks for tokens, under the limits of all other requests.
        tokens: Address of the service of tokens; account and container are appended.
        storage: End of the names of the hosts that are signed.
    """

    TOKENS = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
    STORAGE = ".blob.core.windows.net"
    # With a key of one's own more is allowed; anonymous tokens do as well.
    KEY = "PC_SDK_SUBSCRIPTION_KEY"

    def __init__(self, web: Web, tokens: str = TOKENS, storage: str = STORAGE) -> None:
        self._web = web
        self._tokens = tokens
        self._storage = storage
        self._lock = threading.Lock()
        self._containers: dict[tuple[str, str], _Container] = {}

    def sign(self, address: str) -> Signed:
        """The address with a token that lasts."""
        container = self._container(address)
        if container is None:
            return Unsigned().sign(address)
        # Threads that need the same token wait for the one that fetches it.
        with container.lock:
            if container.token is None or not container.token.fresh:
                container.token = self._fetch(*self._place(address))
            return Signed(f"{address}?{container.token.text}")

    def renew(self, address: str, refused: Signed) -> bool:
        """Forget the token that was refused; another thread may have renewed it already."""
        container = self._container(address)
        if container is None:
            return False
        with container.lock:
            if container.token is not None and refused.url.endswith(f"?{container.token.text}"):
                container.token = None
        return True

    def cure(self, address: str) -> str:
        """What to do where it is refused."""
        return f"A new token was refused as well; try again later, or set {self.KEY} to a key of your own."

    def _place(self, address: str) -> tuple[str, str]:
        parts = urlsplit(address)
        return (parts.hostname or "").removesuffix(self._storage), parts.path.lstrip("/").partition("/")[0]

    def _container(self, address: str) -> _Container | None:
        host = urlsplit(address).hostname or ""
        if not host.endswith(self._storage):
            return None
        with self._lock:
            return self._containers.setdefault(self._place(address), _Container())

    def _fetch(self, account: str, container: str) -> _Token:
        key = os.environ.get(self.KEY)
        headers = {"Ocp-Apim-Subscription-Key": key} if key else {}
        cure = f"Check {self.KEY}, or leave it unset." if key else "Try again later."
        url = f"{self._tokens}/{account}/{container}"
        try:
            answer = self._web.ask("GET", url, cure=cure, headers=headers)
        except (TransientError, GoneError) as error:
            raise CropflowError(f"{url} hands out no token ({error}). Try again later.") from None
        try:
            content: Any = json.loads(answer)
            until = datetime.datetime.fromisoformat(content["msft:expiry"])
            return _Token(str(content["token"]), until.timestamp())
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            # What was answered may hold a token, and is not repeated.
            raise CropflowError(f"{url} answers no token; expected JSON with token and msft:expiry.") from None


class Copernicus:
    """Signs addresses of Copernicus Data Space: of its object store with keys, of its downloads with a token.

    Args:
        endpoint: Address of the object store.
    """

    ENDPOINT = "https://eodata.dataspace.copernicus.eu"
    DOMAIN = ".dataspace.copernicus.eu"
    KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    TOKEN = "CDSE_ACCESS_TOKEN"
    LASTS_S = 3600.0

    def __init__(self, endpoint: str = ENDPOINT) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._stores: dict[tuple[str, str, str], Any] = {}

    @classmethod
    def has_keys(cls) -> bool:
        """Whether the environment holds keys of the object store."""
        return all(os.environ.get(key) for key in cls.KEYS)

    @classmethod
    def readable(cls, item: Item) -> Item:
        """An item whose hrefs are those that the account can read: the object store's, or the downloads'.

        Raises:
            CropflowError: If there is no account: one line that says which variables to set.
        """
        if cls.has_keys():
            return item
        if not os.environ.get(cls.TOKEN):
            raise CropflowError(
                "Copernicus Data Space lets accounts alone read its files, and the environment holds none. Set "
                f"{' and '.join(cls.KEYS)} to keys from https://eodata-s3keysmanager.dataspace.copernicus.eu, or "
                f"{cls.TOKEN} to an access token."
            )
        downloads = {
            name: {**asset, **(asset.get("alternate") or {}).get("https", {})}
            for name, asset in (item.get("assets") or {}).items()
        }
        return {**item, "assets": downloads}

    def sign(self, address: str) -> Signed:
        """An address of the object store signed with the keys; any other with the token."""
        parts = urlsplit(address)
        if parts.scheme != "s3" and not (parts.scheme == "https" and (parts.hostname or "").endswith(self.DOMAIN)):
            # The token is for nobody else.
            return Unsigned().sign(address)
        if parts.scheme != "s3":
            token = os.environ.get(self.TOKEN)
            if not token:
                raise CropflowError(f"{public(address)} needs an access token. Set {self.TOKEN}, and plan again.")
            return Signed(address, {"Authorization": f"Bearer {token}"})
        if not self.has_keys():
            raise CropflowError(f"{address} needs keys of the object store. Set {' and '.join(self.KEYS)}.")
        import obstore

        lasts = datetime.timedelta(seconds=self.LASTS_S)
        return Signed(obstore.sign(self._store(parts.netloc), "GET", parts.path.lstrip("/"), lasts))

    def renew(self, address: str, refused: Signed) -> bool:
        """Keys are signed with anew for each request, and a token is what the environment holds: nothing to renew."""
        return False

    def cure(self, address: str) -> str:
        """What to do where it is refused."""
        if urlsplit(address).scheme == "s3":
            return f"Check {' and '.join(self.KEYS)}: keys of the object store may have expired."
        return f"Set {self.TOKEN} to a new token: they last ten minutes. Keys of the object store last longer."

    def _store(self, bucket: str) -> Any:
        from obstore.store import S3Store

        keys = (os.environ[self.KEYS[0]], os.environ[self.KEYS[1]])
        with self._lock:
            if (bucket, *keys) not in self._stores:
                self._stores[bucket, *keys] = S3Store(
                    bucket,
                    endpoint=self._endpoint,
                    access_key_id=keys[0],
                    secret_access_key=keys[1],
                    region="default",
                    virtual_hosted_style_request=False,
                    client_options={"allow_http": True},
                )
            return self._stores[bucket, *keys]
