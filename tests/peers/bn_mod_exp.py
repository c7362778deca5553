"""x ^ 65537 mod n by OpenSSL's BN_mod_exp, for many numbers.

Input: the length of the numbers in bytes (4 bytes, little-endian), then pairs of n and x, big-endian.
Output: the powers, big-endian.
"""
import ctypes
import ctypes.util
import sys

crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for name in ("BN_new", "BN_bin2bn", "BN_CTX_new"):
    getattr(crypto, name).restype = ctypes.c_void_p

data = sys.stdin.buffer.read()
size = int.from_bytes(data[:4], "little")
context = ctypes.c_void_p(crypto.BN_CTX_new())
result, e = ctypes.c_void_p(crypto.BN_new()), ctypes.c_void_p(crypto.BN_new())
crypto.BN_set_word(e, ctypes.c_ulong(65537))
out = ctypes.create_string_buffer(size)
for at in range(4, len(data), 2 * size):
    n = ctypes.c_void_p(crypto.BN_bin2bn(data[at : at + size], size, None))
    x = ctypes.c_void_p(crypto.BN_bin2bn(data[at + size : at + 2 * size], size, None))
    if crypto.BN_mod_exp(result, x, e, n, context) != 1:
        sys.exit("BN_mod_exp failed")
    crypto.BN_bn2binpad(result, out, size)
    sys.stdout.buffer.write(out.raw)
    crypto.BN_free(n)
    crypto.BN_free(x)
