"""Public keys that the lint must find: usage make-weak-keys.py DIRECTORY. The same bytes on every run.

close.public.pem   two neighbouring primes: Fermat's method (CVE-2022-26320)
factor.public.pem  one prime is 4093
even.public.pem    one prime is 2
roca.public.pem    primes as RSALib made them, k M + 65537^a mod M (Nemec et al. 2017; CVE-2017-15361)
"""

import random
import sys

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

random.seed(2017)
SMALL = [n for n in range(2, 702) if all(n % d for d in range(2, n))]
M = 1
for prime in SMALL:
    M *= prime


def is_prime(n):
    if any(n % p == 0 for p in SMALL):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for base in SMALL[:16]:
        x = pow(base, d, n)
        if x in (1, n - 1):
            continue
        if not any((x := x * x % n) == n - 1 for _ in range(s - 1)):
            return False
    return True


def large():
    return random.getrandbits(1024) | 3 << 1022


def next_prime(n):
    n |= 1
    while not is_prime(n):
        n += 2
    return n


def rsalib_prime():
    while True:
        n = large() // M * M + pow(65537, random.getrandbits(200), M)
        if n >> 1022 == 3 and is_prime(n):
            return n


def write(name, modulus):
    key = RSAPublicNumbers(65537, modulus).public_key()
    with open(f"{sys.argv[1]}/{name}.public.pem", "wb") as file:
        file.write(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


first = next_prime(large())
write("close", first * next_prime(first + 2))
write("roca", rsalib_prime() * rsalib_prime())
write("factor", 4093 * next_prime(random.getrandbits(2036) | 3 << 2034))
write("even", 2 * next_prime(random.getrandbits(2047) | 3 << 2045))
