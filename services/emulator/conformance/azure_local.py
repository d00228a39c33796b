"""Microsoft's own clients against one emulator: names that resolve to this machine, a private CA, one identity."""

import dataclasses
import json
import socket
import ssl
import urllib.error
import urllib.request

from azure.identity import ClientSecretCredential
from azure.keyvault.certificates import CertificateClient
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient

TENANT = "5f0c1d4e-0000-4000-8000-000000000001"
CLIENT_ID = "00000000-0000-4000-8000-0000000000aa"
CLIENT_SECRET = "demo-only"

_resolve = socket.getaddrinfo


def _resolve_localhost(host, *args, **kwargs):
    """Not every resolver knows that everything under localhost is this machine."""
    name = host.decode() if isinstance(host, bytes) else host
    return _resolve("127.0.0.1" if name and name.endswith(".localhost") else host, *args, **kwargs)


socket.getaddrinfo = _resolve_localhost


@dataclasses.dataclass
class Azure:
    """Where one emulator is, and who calls it."""

    port: int
    ca: str
    client_id: str = CLIENT_ID
    client_secret: str = CLIENT_SECRET

    def url(self, vault):
        return f"https://{vault}.vault.localhost:{self.port}"

    def credential(self):
        return ClientSecretCredential(
            TENANT,
            self.client_id,
            self.client_secret,
            authority=f"https://login.localhost:{self.port}",
            disable_instance_discovery=True,
            connection_verify=self.ca,
        )

    def as_identity(self, number, secret):
        """The same emulator, called by another identity."""
        client_id = f"00000000-0000-4000-8000-0000000000{number}"
        return dataclasses.replace(self, client_id=client_id, client_secret=secret)

    def token(self, host="vault"):
        """A token for `vault` or `management`."""
        return self.credential().get_token(f"https://{host}.localhost:{self.port}/.default").token

    def raw(self, method, url, body=None, token=None):
        """A request that no SDK would make; a path without a host is the management plane's."""
        if url.startswith("/"):
            url = f"https://management.localhost:{self.port}{url}"
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)
        context = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as answer:
                return Answer(answer.status, answer.headers, json.loads(answer.read() or b"null"))
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.headers, json.loads(refused.read() or b"null"))

    def call(self, method, vault, path, body=None, version="2025-07-01"):
        """A call to a vault, with a token."""
        mark = "&" if "?" in path else "?"
        return self.raw(method, f"{self.url(vault)}{path}{mark}api-version={version}", body, self.token())

    def _options(self):
        return {"connection_verify": self.ca, "retry_total": 0}

    def secrets(self, vault, **options):
        return SecretClient(self.url(vault), self.credential(), **self._options(), **options)

    def certificates(self, vault, **options):
        return CertificateClient(self.url(vault), self.credential(), **self._options(), **options)

    def keys(self, vault, **options):
        return KeyClient(self.url(vault), self.credential(), **self._options(), **options)

    def crypto(self, key):
        """Uses a key in its vault; nothing is done with the public half here."""
        from azure.keyvault.keys.crypto import CryptographyClient

        client = CryptographyClient(key, self.credential(), **self._options())
        # A client that believes it has looked for the public half already has none, and asks the vault for everything.
        client._initialized = True
        return client


@dataclasses.dataclass
class Answer:
    """What came back, whatever the status."""

    status: int
    headers: object  # found by name, whatever the case
    body: object


def refusal(error):
    """Status, inner code and message of what an SDK raised."""
    body = json.loads(error.value.response.text())["error"]
    return error.value.status_code, body.get("innererror", {}).get("code"), body["message"]
