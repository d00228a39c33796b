"""Azure's limits, which hold per vault and, five times that, per subscription."""

import collections
from concurrent.futures import ThreadPoolExecutor

from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import JsonWebKey
from cryptography.hazmat.primitives.asymmetric import rsa


def statuses(call, arguments, threads=8):
    """How often a call ended with each status; a refusal says when to come back."""

    def one(argument):
        try:
            call(argument)
            return 200
        except HttpResponseError as error:
            if error.status_code == 429:
                assert 1 <= int(error.response.headers["Retry-After"]) <= 10
            return error.status_code

    with ThreadPoolExecutor(threads) as pool:
        return collections.Counter(pool.map(one, arguments))


def test_creating_writes_are_300_in_ten_seconds(azure, admin, name):
    client = azure.secrets("limit-kv")
    client.set_secret(name, "warm")
    admin.settings(limits="azure")
    ended = statuses(lambda number: client.set_secret(name, str(number)), range(310))
    assert ended == {200: 300, 429: 10}
    # What is limited apart goes on.
    assert client.get_secret(name).value


def test_keys_are_made_20_in_ten_seconds_and_half_as_many_in_an_hsm(azure, admin, name):
    client = azure.keys("hsm-kv")
    client.create_ec_key(name)
    admin.settings(limits="azure")
    made = statuses(lambda number: client.create_ec_key(f"{name}-{number}", hardware_protected=number < 5), range(30), threads=1)
    # Five in the HSM cost as much as ten in software.
    assert made == {200: 15, 429: 15}


def test_keys_of_different_cost_share_one_limit(azure, admin, name):
    client = azure.keys("hsm-kv")
    client.create_ec_key(name)
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=4096).private_numbers()
    size = lambda number: number.to_bytes((number.bit_length() + 7) // 8, "big")
    public = numbers.public_numbers
    jwk = JsonWebKey(
        kty="RSA-HSM", n=size(public.n), e=size(public.e), d=size(numbers.d), p=size(numbers.p), q=size(numbers.q),
        dp=size(numbers.dmp1), dq=size(numbers.dmq1), qi=size(numbers.iqmp), key_ops=["sign", "verify"],
    )
    strong = f"{name}-strong"
    client.import_key(strong, jwk, hardware_protected=True)
    admin.settings(limits="azure")
    assert statuses(lambda _: client.get_key(strong), range(249)) == {200: 249}
    # One sixteenth of what is left.
    assert statuses(lambda _: client.get_key(name), range(20), threads=1) == {200: 16, 429: 4}
    assert statuses(lambda _: client.get_key(strong), range(1)) == {429: 1}
    # A listing names no key.
    assert len(list(client.list_properties_of_keys())) >= 2


def test_a_subscription_has_five_times_a_vault(azure, admin, name):
    clients = [azure.keys(f"three{number}-kv") for number in range(6)]
    for client in clients:
        list(client.list_properties_of_keys())
    admin.settings(limits="azure")
    ended = [statuses(lambda number: client.create_ec_key(f"{name}-{number}"), range(20)) for client in clients]
    assert ended == [{200: 20}] * 5 + [{429: 20}]
