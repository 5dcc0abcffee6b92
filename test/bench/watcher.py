"""A bare watcher, which hatlas is measured against: kazoo with a watch on everything, and
one line to HAProxy's socket for a host that was enabled or disabled. No checks, no files,
no other change. Arguments: ZooKeeper's address, the path of the services, the socket."""
import json
import socket
import sys
import threading

from kazoo.client import KazooClient


def set_server(path, backend, server, enabled):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        state = "ready" if enabled else "maint"
        connection.sendall(f"set server {backend}/{server} state {state}\n".encode())
        answer = connection.recv(4096).decode().strip()
        if answer:
            sys.exit(answer)


def main():
    address, base, haproxy = sys.argv[1:]
    client = KazooClient(address, timeout=30)
    client.start()

    def take(path, future):
        host = json.loads(future.get()[0])
        backend = path[len(base):].split("/")[1]
        set_server(haproxy, backend, f"{host['host']}:{host['port']}",
                   host.get("enabled", True))

    def fired(event):
        future = client.get_async(event.path, watch=fired)
        future.rawlink(lambda done: take(event.path, done))

    services = client.get_children(base, watch=fired)
    lists = [(service, client.get_children_async(f"{base}/{service}/hosts", watch=fired))
             for service in services]
    reads = [client.get_async(f"{base}/{service}/hosts/{host}", watch=fired)
             for service, hosts in lists for host in hosts.get()]
    for read in reads:
        json.loads(read.get()[0])
    print("ready", flush=True)
    threading.Event().wait()


main()
