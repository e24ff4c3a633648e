"""Tokens as Keycloak, Auth0, Amazon Cognito and Firebase issue them, with the settings that docs/authentication.md has for each: the
user comes in under its `sub`, and a token of the same service for another application does not.

SPDX-License-Identifier: MIT"""
import json
import time

import pytest

from client import V2, Client, Op, TcpCodec, Way
from test_auth_jwks import NO_LOGIC, LoginService
from tokens import jwk, signed_with
from waiting import wait_until

TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
NOW = int(time.time())

# Settings but for the address of the keys; claims of a token beside exp; its user; and what makes it another application's.
SERVICES = {
    "keycloak": (
        {"auth.jwt_issuer": "https://login.example.com/realms/app", "auth.jwt_audience": "chat"},
        {"iss": "https://login.example.com/realms/app", "aud": ["chat", "account"], "typ": "Bearer", "azp": "web",
         "sub": "5a8c2f5e-6f0d-4c8e-9b7a-0e7c3f1d2a44", "sid": "0e4b1d77-77a5-4a38-a0a3-3a5c9f0f4f10", "jti": "onrtac:7c3d",
         "iat": NOW, "auth_time": NOW, "acr": "1", "allowed-origins": ["https://app.example.com"],
         "realm_access": {"roles": [f"role-{i}" for i in range(400)]}, "resource_access": {"account": {"roles": ["manage-account"]}},
         "scope": "openid email profile", "email_verified": True, "given_name": "Ann", "preferred_username": "ann"},
        {"aud": "account"}),
    "auth0": (
        {"auth.jwt_issuer": "https://tenant.eu.auth0.com/", "auth.jwt_audience": "https://chat.example.com",
         "auth.claim_rooms": "https://chat.example.com/rooms", "auth.rooms": "token"},
        {"iss": "https://tenant.eu.auth0.com/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
         "aud": ["https://chat.example.com", "https://tenant.eu.auth0.com/userinfo"], "iat": NOW, "azp": "my_client_id",
         "scope": "openid profile", "permissions": ["read:messages"], "https://chat.example.com/rooms": ["team-7://*"]},
        {"aud": "https://tenant.eu.auth0.com/userinfo"}),
    "cognito": (
        {"auth.jwt_issuer": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE", "auth.jwt_audience": "1example23456789"},
        {"sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "cognito:groups": ["staff"], "email_verified": True,
         "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_EXAMPLE", "cognito:username": "ann", "token_use": "id",
         "origin_jti": "8c1d", "aud": "1example23456789", "event_id": "64f513be", "auth_time": NOW, "iat": NOW, "jti": "5f",
         "email": "ann@example.com"},
        {"aud": None, "client_id": "1example23456789", "token_use": "access", "scope": "openid", "username": "ann"}),
    "firebase": (
        {"auth.jwt_issuer": "https://securetoken.google.com/my-project", "auth.jwt_audience": "my-project"},
        {"iss": "https://securetoken.google.com/my-project", "aud": "my-project", "auth_time": NOW, "user_id": "mq1Xk8vT3hYb2RzL0pWc4dEf6gN5",
         "sub": "mq1Xk8vT3hYb2RzL0pWc4dEf6gN5", "iat": NOW, "email": "ann@example.com", "email_verified": True,
         "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"}},
        {"iss": "https://securetoken.google.com/another-project", "aud": "another-project"}),
}


@pytest.fixture
def service():
    one = LoginService()
    one.publish(jwk("RS256"))
    yield one
    one.close()


def come(house, token):
    """A client who is in; None while the keys are being fetched."""
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, token, seq=1)
    answer = client.recv()
    if answer.op == Op.AUTH_REPLY:
        return client
    client.close()
    assert json.loads(answer.body)["code"] == NO_LOGIC, answer
    return None


@pytest.mark.parametrize("name", SERVICES)
def test_tokens_of_a_login_service(launch, service, name):
    settings, claims, others = SERVICES[name]
    house = launch({"auth.mode": "jwt", "auth.jwks_url": service.url, **settings})
    token = signed_with("RS256", mid=None, **claims)
    client = wait_until(lambda: come(house, token), "the keys have come")
    client.send(Op.SUB, b"1000", seq=2)
    client.expect(Op.SUB_REPLY, seq=2)
    house.backend.accepted("/goim/push/users", "hello", operation=1000, users=[claims["sub"]])
    client.expect_push(1000, b"hello")
    if name == "auth0":
        client.send(Op.CHANGE_ROOM, b"team-7://news", seq=3)
        client.expect(Op.CHANGE_ROOM_REPLY, b"team-7://news", seq=3)
    client.close()
    other = Client(TCP, house.address("tcp"))
    other.send(Op.AUTH, signed_with("RS256", mid=None, **{**claims, **others}))
    assert other.expect_goodbye()["code"] == 5
    other.close()
