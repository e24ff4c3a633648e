"""tokens: JSON Web Tokens and the keys to sign them, made for this run. HS256 by the example of examples/jwt.py, RS256 and
ES256 by openssl.

SPDX-License-Identifier: MIT"""
import atexit
import functools
import hashlib
import hmac
import importlib.util
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

from server import ROOT

SECRET = b"not a secret to anybody who reads these tests\n"
OTHER_SECRET = b"another one, as long as it has to be: 32 bytes"


def example():
    spec = importlib.util.spec_from_file_location("jwt_example", ROOT / "examples" / "jwt.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


jwt = example()


@functools.lru_cache(maxsize=None)
def folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="comet-tokens-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@functools.lru_cache(maxsize=None)
def secret_file(secret=SECRET):
    path = folder() / f"secret-{abs(hash(secret))}"
    path.write_bytes(secret)
    path.chmod(0o600)
    return path


def key_pair(kind, name="one"):
    """The files of a private and a public key: kind is rsa, rsa1024, p256, p384 or ed25519."""
    return make_key_pair(kind, name)


@functools.lru_cache(maxsize=None)  # of all arguments: ("rsa",) and ("rsa", "one") would be made twice, into the same files
def make_key_pair(kind, name):
    options = {"rsa": ["RSA", "rsa_keygen_bits:2048"], "rsa1024": ["RSA", "rsa_keygen_bits:1024"],
               "p256": ["EC", "ec_paramgen_curve:P-256"], "p384": ["EC", "ec_paramgen_curve:P-384"],
               "ed25519": ["ED25519"]}[kind]
    options = [options[0], *(part for option in options[1:] for part in ("-pkeyopt", option))]
    private, public = folder() / f"{kind}-{name}.private", folder() / f"{kind}-{name}.public"
    subprocess.run(["openssl", "genpkey", "-algorithm", *options, "-out", private],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def claims(expires=3600, **more):
    """Claims of user 7, good for an hour; what is None is left out."""
    now = time.time()
    made = {"mid": 7, "exp": None if expires is None else round(now + expires, 3), **more}
    return {name: value for name, value in made.items() if value is not None}


def hs256(secret=SECRET, header=None, **more):
    return jwt.hs256(secret, claims(**more), **(header or {})).encode()


def openssl_sign(private, hash_name="sha256"):
    return lambda text: subprocess.run(["openssl", "dgst", f"-{hash_name}", "-sign", private], input=text, check=True,
                                       capture_output=True).stdout


def raw_of_der(der, number_bytes=32):
    """The two numbers of an ECDSA signature as a token has them, each as long as the curve's."""
    assert der[0] == 0x30 and der[2] == 2
    r = der[4:4 + der[3]]
    s = der[4 + der[3] + 2:]
    return b"".join(int.from_bytes(number, "big").to_bytes(number_bytes, "big") for number in (r, s))


def rs256(private, header=None, **more):
    return jwt.signed({"alg": "RS256", **(header or {})}, claims(**more), openssl_sign(private)).encode()


def es256(private, header=None, **more):
    return jwt.signed({"alg": "ES256", **(header or {})}, claims(**more),
                      lambda text: raw_of_der(openssl_sign(private)(text))).encode()


def openssl_sign_ed25519(private):
    def sign(text):
        with tempfile.NamedTemporaryFile(dir=folder()) as file:
            file.write(text)
            file.flush()
            return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", file.name], check=True,
                                  capture_output=True).stdout
    return sign


def signed_with(alg, name="one", **more):
    """A token by any public algorithm, with the name of its key: that of jwk()."""
    private = key_pair(KINDS[alg], name)[0]
    sha = f"sha{alg[2:]}"
    sign = {"R": lambda: openssl_sign(private, sha), "E": lambda: openssl_sign_ed25519(private)}[alg[0]]()
    if alg.startswith("ES"):
        def sign(text):
            return raw_of_der(openssl_sign(private, sha)(text), int(alg[2:]) // 8)
    return jwt.signed({"alg": alg, "kid": f"{alg}-{name}"}, claims(**more), sign).encode()


KINDS = {"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "ES256": "p256", "ES384": "p384", "EdDSA": "ed25519"}


@functools.lru_cache(maxsize=None)
def jwk(alg, name="one"):
    """The public key of signed_with() as login services publish it (RFC 7517)."""
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", key_pair(KINDS[alg], name)[1], "-outform", "DER"], check=True,
                         capture_output=True).stdout
    made = {"kid": f"{alg}-{name}", "alg": alg, "use": "sig"}
    if alg.startswith("RS"):  # at its end: the modulus, and the exponent 65537 with its type and length
        return {**made, "kty": "RSA", "n": jwt.part(der[-261:-5]), "e": jwt.part(der[-3:])}
    if alg.startswith("ES"):
        n = int(alg[2:]) // 8
        return {**made, "kty": "EC", "crv": f"P-{alg[2:]}", "x": jwt.part(der[-2 * n:-n]), "y": jwt.part(der[-n:])}
    return {**made, "kty": "OKP", "crv": "Ed25519", "x": jwt.part(der[-32:])}


def forged(header, payload, signature=b""):
    """Parts as they are given: bytes, or what becomes JSON."""
    texts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(jwt.part(part) for part in (*texts, signature)).encode()


def over_bytes(payload):
    """A right signature over claims that are no JSON, or such as no library makes."""
    text = forged({"alg": "HS256"}, payload).rpartition(b".")[0]
    return text + b"." + jwt.part(hmac.new(SECRET.strip(), text, hashlib.sha256).digest()).encode()
