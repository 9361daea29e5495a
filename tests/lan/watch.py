#!/usr/bin/python3
"""Browses the network for Hearthkeep's services with python-zeroconf, and prints a line of JSON for whatever comes and goes.

Ends with its standard input.
"""

import json
import sys

from zeroconf import IPVersion, ServiceBrowser, ServiceListener, Zeroconf

SERVICES = ["_hearthkeep._tcp.local.", "_https._tcp.local."]
RESOLVE_MS_MAX = 5000


def say(**event):
    print(json.dumps(event), flush=True)


class Listener(ServiceListener):
    def add_service(self, zc, type_, name):
        info = zc.get_service_info(type_, name, RESOLVE_MS_MAX)
        if info is None:
            say(event="unresolved", service=type_, name=name)
            return
        txt = {key.decode(): value.decode() for key, value in info.properties.items()}
        say(
            event="add",
            service=type_,
            name=name,
            host=info.server,
            port=info.port,
            addresses=info.parsed_addresses(),
            txt=txt,
        )

    def update_service(self, zc, type_, name):
        pass

    def remove_service(self, zc, type_, name):
        say(event="remove", service=type_, name=name)


def main():
    zc = Zeroconf(ip_version=IPVersion.V4Only)
    ServiceBrowser(zc, SERVICES, Listener())
    say(event="ready")
    sys.stdin.read()
    zc.close()


main()
