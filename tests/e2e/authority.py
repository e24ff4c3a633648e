"""authority: who signs certificates of callers and clients, for tests of http.client_ca and tls.client_ca.

SPDX-License-Identifier: MIT"""
import datetime
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

    def issue(self, name, alternatives="", usage="clientAuth", ends=None):
        """The files of a certificate whose subject has this common name ("": none), and of its key. It ends in so many seconds."""
        stem = f"{len(list(self.folder.iterdir()))}"
        cert, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        more = ["-addext", f"subjectAltName={alternatives}"] if alternatives else []
        openssl("req", "-x509", "-CA", self.cert, "-CAkey", self.key, *KEY, "-keyout", key, "-out", cert,
                "-subj", f"/O=test/CN={name}" if name else "/O=test", "-addext", "basicConstraints=critical,CA:FALSE",
                "-addext", f"extendedKeyUsage={usage}", *more)
        if ends is not None:
            self._end(cert, ends)
        return cert, key

    def _end(self, cert, seconds):
        """The same certificate, made over by `openssl ca`, which alone can say such an end."""
        config, index = self.folder / "end.conf", self.folder / "end.index"
        index.write_text("")
        (self.folder / "end.serial").write_text(serial(cert))
        config.write_text(f"[ca]\ndefault_ca = ours\n[ours]\ndatabase = {index}\ndefault_md = sha256\nserial = {self.folder}/end.serial\n"
                          f"new_certs_dir = {self.folder}\npolicy = any\n[any]\ncommonName = optional\norganizationName = optional\n")
        request, at = self.folder / "request", datetime.datetime.now(datetime.timezone.utc)
        start, end = ((at + datetime.timedelta(seconds=s)).strftime("%Y%m%d%H%M%SZ") for s in (-3600, seconds))
        openssl("x509", "-x509toreq", "-in", cert, "-signkey", cert.with_suffix(".key"), "-out", request)
        openssl("ca", "-batch", "-notext", "-config", config, "-cert", self.cert, "-keyfile", self.key, "-in", request, "-startdate", start,
                "-enddate", end, "-out", cert)

    def revoked(self, *certs, days=2):
        """The list of revoked certificates (PEM), with these in it."""
        index = self.folder / "index"
        index.write_text("".join(f"R\t491231235959Z\t261101000000Z\t{serial(cert)}\tunknown\t/CN=x\n" for cert in certs))
        config = self.folder / "ca.conf"
        config.write_text(f"[ca]\ndefault_ca = ours\n[ours]\ndatabase = {index}\ndefault_md = sha256\ncrl_extensions = none\n[none]\n")
        openssl("ca", "-config", config, "-gencrl", "-cert", self.cert, "-keyfile", self.key, "-crldays", str(days), "-out", self.folder / "crl")
        return (self.folder / "crl").read_text()


def serial(cert):
    shown = subprocess.run(["openssl", "x509", "-in", cert, "-noout", "-serial"], check=True, capture_output=True, text=True)
    return shown.stdout.strip().partition("=")[2]


def context(files=None, version=None):
    """Of a caller who shows this certificate, and asks nothing about the server's."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        made.maximum_version = version
    if files is not None:
        made.load_cert_chain(*files)
    return made
