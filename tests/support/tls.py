"""Terminates TLS in front of a plain server on loopback.

tls.py FOLDER HOST PORT    makes a CA and a certificate for 127.0.0.1 and googleapis.com in FOLDER, prints the port, serves
"""

import pathlib
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
    (folder / "leaf.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:*.googleapis.com\nbasicConstraints=CA:FALSE\n")
    openssl(
        *("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-out", "leaf.pem", "-days", "2", "-extfile", "leaf.ext"),
    )


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, context, server):
    try:
        client = context.wrap_socket(client, server_side=True)
        upstream = socket.create_connection(server)
    except OSError:
        client.close()
        return
    threading.Thread(target=copy, args=(client, upstream), daemon=True).start()
    copy(upstream, client)


def main(folder, host, port):
    folder = pathlib.Path(folder)
    certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, context, (host, int(port))), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
