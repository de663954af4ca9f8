"""A server that takes mail, by aiosmtpd of PyPI: prints its port, then each mail as a line of JSON.

usage: sink.py [--cert FILE --key FILE (--starttls|--tls)] [--login USER:PASSWORD] [--refuse ADDRESS]
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import ssl
import warnings

from aiosmtpd.smtp import SMTP, AuthResult


class Sink:
    def __init__(self, refused):
        self.refused = refused

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address == self.refused:
            return "550 5.1.1 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_content().replace("\r\n", "\n").rstrip("\n") + "\n",
            "longest": max(len(line) for line in envelope.original_content.split(b"\r\n")),
            "encrypted": session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None,
            "login": session.auth_data,
        }
        print(json.dumps(told), flush=True)
        return "250 OK"


async def main():
    parser = argparse.ArgumentParser()
    for option in ("--cert", "--key", "--login", "--refuse"):
        parser.add_argument(option)
    for option in ("--starttls", "--tls"):
        parser.add_argument(option, action="store_true")
    args = parser.parse_args()
    logging.disable()
    warnings.simplefilter("ignore")
    context = None
    if args.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.cert, args.key)

    def authenticate(server, session, envelope, mechanism, data):
        name = data.login.decode()
        return AuthResult(success=args.login == f"{name}:{data.password.decode()}", handled=False, auth_data=name)

    def serve():
        options = dict(hostname="sink", decode_data=False)
        if args.login:
            options.update(authenticator=authenticate, auth_required=True, auth_require_tls=not args.tls)
        if args.starttls:
            options.update(tls_context=context, require_starttls=True)
        return SMTP(Sink(args.refuse), **options)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(serve, "127.0.0.1", 0, ssl=context if args.tls else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
