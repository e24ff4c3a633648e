"""authority: who signs certificates of callers and clients, for tests of http.client_ca and tls.client_ca.

SPDX-License-Identifier: MIT"""
import ssl
import subprocess

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    def __init__(self, folder, name):
        self.folder = folder / name
        self.folder.mkdir()
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        openssl("req", "-x509", *KEY, "-keyout", self.key, "-out", self.cert, "-subj", f"/CN={name}")

    def issue(self, name, alternatives="", usage="clientAuth"):
        """The files of a certificate whose subject has this common name ("": none), and of its key."""
        stem = f"{len(list(self.folder.iterdir()))}"
        cert, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        more = ["-addext", f"subjectAltName={alternatives}"] if alternatives else []
        openssl("req", "-x509", "-CA", self.cert, "-CAkey", self.key, *KEY, "-keyout", key, "-out", cert,
                "-subj", f"/O=test/CN={name}" if name else "/O=test", "-addext", "basicConstraints=critical,CA:FALSE",
                "-addext", f"extendedKeyUsage={usage}", *more)
        return cert, key


def context(files=None, version=None):
    """Of a caller who shows this certificate, and asks nothing about the server's."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        made.maximum_version = version
    if files is not None:
        made.load_cert_chain(*files)
    return made
