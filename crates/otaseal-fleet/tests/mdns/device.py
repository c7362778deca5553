"""Announces a device as ArduinoOTA and a web server do, with somebody else's mDNS: python-zeroconf."""

import socket
import sys
import time

from zeroconf import IPVersion, ServiceInfo, Zeroconf

address, = sys.argv[1:]
responder = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)


def announce(service, host, port, texts):
    name = f"{host}.{service}.local."
    where = {"addresses": [socket.inet_aton(address)], "port": port, "server": f"{host}.local."}
    responder.register_service(ServiceInfo(f"{service}.local.", name, properties=texts, **where))


# The texts of libraries/ESP8266mDNS (enableArduino).
texts = {"tcp_check": "no", "ssh_upload": "no", "board": "ESP8266_WEMOS_D1MINI", "auth_upload": "no"}
announce("_arduino._tcp", "esp8266-0a1b2c", 8266, texts)
announce("_http._tcp", "kitchen", 80, {})
print("announced", flush=True)
time.sleep(120)
