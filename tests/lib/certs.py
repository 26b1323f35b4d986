"""Certificates for tests: an authority, and what it or nobody signs."""
import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)


def name_of(common, unit=()):
    parts = [x509.NameAttribute(NameOID.COUNTRY_NAME, "SE"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example AB")]
    parts += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, u) for u in unit]
    return x509.Name(parts + [x509.NameAttribute(NameOID.COMMON_NAME, common)])


class Cert:
    """A key and its certificate.  issuer: None signs it with its own key.  begins, ends: days from now.  address: of a server."""

    def __init__(self, common, issuer=None, begins=-1, ends=30, authority=False, unit=(), usage=ExtendedKeyUsageOID.CLIENT_AUTH,
                 address=None):
        now = datetime.datetime.utcnow().replace(microsecond=0)
        self.key = ec.generate_private_key(ec.SECP256R1())
        made = (x509.CertificateBuilder().subject_name(name_of(common, unit)).issuer_name(issuer.cert.subject if issuer else name_of(common, unit))
                .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY)
                .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
        if not authority:
            made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if address:
            made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        self.cert = made.sign((issuer or self).key, hashes.SHA256())

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self):
        return self.cert.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def write(self, folder, stem):
        """STEM.pem and STEM.key; their paths."""
        cert, key = folder / f"{stem}.pem", folder / f"{stem}.key"
        cert.write_bytes(self.pem)
        key.write_bytes(self.key_pem)
        return cert, key

    @property
    def shown(self):
        """As the API shows it."""
        def name(n):
            found = {}
            for a in n:
                found.setdefault(a.rfc4514_attribute_name, []).append(a.value)
            return {k: v if len(v) > 1 else v[0] for k, v in found.items()}

        serial = f"{self.cert.serial_number:x}"
        return {"subject": name(self.cert.subject), "issuer": name(self.cert.issuer), "serial": serial.zfill(len(serial) + len(serial) % 2),
                "validFrom": self.cert.not_valid_before.isoformat() + "Z", "validTo": self.cert.not_valid_after.isoformat() + "Z",
                "fingerprint": self.cert.fingerprint(hashes.SHA256()).hex()}


def client_context(server, shown=None, version=None):
    """An ssl context of a client: trusts `server`, a Cert that signed itself, and shows `shown`; version: of TLS, no other."""
    context = ssl.create_default_context(cadata=server.pem.decode())
    if version:
        context.minimum_version = context.maximum_version = version
    if shown:
        with tempfile.TemporaryDirectory() as folder:
            context.load_cert_chain(*shown.write(Path(folder), "shown"))
    return context
