#!/usr/bin/python3
"""Visits a box as somebody who found it would: ADDRESS PORT HOST FINGERPRINT.

Fetches its authority, compares the fingerprint, trusts that authority alone, and opens the page by its name.
"""

import hashlib
import http.client
import socket
import ssl
import sys


def fetch(address, port, host, path, context):
    plain = socket.create_connection((address, port), timeout=10)
    connection = http.client.HTTPSConnection(host, port)
    connection.sock = context.wrap_socket(plain, server_hostname=host)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def main():
    address, port, host, fingerprint = sys.argv[1:]
    unsure = ssl.create_default_context()
    unsure.check_hostname = False
    unsure.verify_mode = ssl.CERT_NONE
    status, authority = fetch(address, int(port), host, "/ca.crt", unsure)
    assert status == 200, status
    seen = hashlib.sha256(authority).hexdigest().upper()
    assert seen == fingerprint.replace(":", ""), seen
    sure = ssl.create_default_context(cadata=authority)
    status, page = fetch(address, int(port), host, "/", sure)
    assert status == 200 and b"Hearthkeep" in page, (status, page[:200])


main()
