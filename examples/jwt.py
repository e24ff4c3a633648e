#!/usr/bin/python3
"""Makes a token for comets with auth.mode=jwt, signed with HS256:

    (umask 077; head -c 32 /dev/urandom | base64 >token.secret)
    comet -o auth.mode=jwt -o auth.jwt_keys=HS256:token.secret
    examples/jwt.py token.secret mid=123 'accepts=[1000]'

Claims are name=value; a value that is JSON is taken as such, anything else as a
string. It is good for an hour, or for EXPIRES=seconds; KID=name names the key.
A back end does the same with any JWT library, once its user has logged in.
docs/authentication.md says which claims there are.
SPDX-License-Identifier: MIT"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time


def part(data):
    """base64url without padding, as all parts of a token are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, claims, sign):
    """header.claims.signature; sign(text) makes the signature of the first two."""
    text = ".".join(part(json.dumps(each, separators=(",", ":")).encode()) for each in (header, claims))
    return f"{text}.{part(sign(text.encode()))}"


def hs256(secret, claims, **header):
    """A token signed with a secret; the server leaves a line feed at the end of its file out, and so do we."""
    secret = secret.removesuffix(b"\n").removesuffix(b"\r")
    return signed({"alg": "HS256", "typ": "JWT", **header}, claims,
                  lambda text: hmac.new(secret, text, hashlib.sha256).digest())


def value_of(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def main(secret_file, *claims):
    with open(secret_file, "rb") as file:
        secret = file.read()
    now = int(time.time())
    said = dict(claim.split("=", 1) for claim in claims)
    header = {"kid": os.environ["KID"]} if "KID" in os.environ else {}
    print(hs256(secret, {"iat": now, "exp": now + int(os.environ.get("EXPIRES", "3600")),
                         **{name: value_of(text) for name, text in said.items()}}, **header))


if __name__ == "__main__":
    if "--help" in sys.argv:
        print(__doc__)
        sys.exit()
    if len(sys.argv) < 2 or any("=" not in claim for claim in sys.argv[2:]):
        sys.exit(__doc__)
    main(*sys.argv[1:])
