"""Microsoft's own clients against one emulator: names that resolve to this machine, a private CA, one identity."""

import dataclasses
import socket

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
        client._local_provider = _NoLocal()
        return client


class _NoLocal:
    """Makes a client ask the vault even for what it could compute itself."""

    def supports(self, *_):
        return False
