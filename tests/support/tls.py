"""Terminates TLS in front of a plain server on loopback, or begins it in front of one that wants it.

tls.py FOLDER HOST PORT [HOST PORT]...   makes a CA and a certificate for 127.0.0.1 and some names in FOLDER, prints a
                                         port for each server, serves
tls.py --to CA HOST PORT                 takes plain connections to a server with TLS that CA (a file) vouches for
"""

import pathlib
import select
import socket
import ssl
import subprocess
import sys
import threading


def certificates(folder):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=hushfs test CA")
    openssl("req", *key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=127.0.0.1")
    names = "IP:127.0.0.1,DNS:*.googleapis.com,DNS:*.europe-west3.rep.googleapis.com,DNS:*.hushfs.invalid"
    (folder / "leaf.ext").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
    openssl(
        *("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-out", "leaf.pem", "-days", "2", "-extfile", "leaf.ext"),
    )


def relay(plain, tls):
    """One thread for both ways: a TLS connection is not for two at a time."""
    tls.settimeout(0)
    while True:
        ready = [tls] if tls.pending() else select.select([plain, tls], [], [])[0]
        for source in ready:
            try:
                data = source.recv(65536)
            except ssl.SSLWantReadError:
                # A part of a record, or one that holds no data.
                continue
            if not data:
                return
            if source is tls:
                plain.sendall(data)
            else:
                tls.settimeout(None)
                tls.sendall(data)
                tls.settimeout(0)


def serve(client, context, server, is_server):
    upstream = None
    try:
        upstream = socket.create_connection(server)
        if is_server:
            client = context.wrap_socket(client, server_side=True)
            relay(upstream, client)
        else:
            upstream = context.wrap_socket(upstream, server_hostname=server[0])
            relay(client, upstream)
    except OSError:
        pass
    finally:
        client.close()
        if upstream:
            upstream.close()


def main(folder, *servers):
    folder = pathlib.Path(folder)
    certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    ways = [(socket.create_server(("127.0.0.1", 0)), way) for way in zip(servers[::2], servers[1::2])]
    for listener, (host, port) in ways:
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=listen, args=(listener, context, host, port, True)).start()


def originate(ca, host, port):
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    listen(listener, ssl.create_default_context(cafile=ca), host, port, False)


def listen(listener, context, host, port, is_server):
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, context, (host, int(port)), is_server), daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1] == "--to":
        originate(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
