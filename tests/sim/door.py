"""The way into the simulated pool that a walk is given on its command line: its address, a user and a password."""

import sys

import XenAPI

url, user, password = sys.argv[1:]
port = url.rsplit(":", 1)[1]


def enter(address=None):
    """A session on the pool, or on the host with this address."""
    session = XenAPI.Session(url if address is None else "http://%s:%s" % (address, port))
    session.xenapi.login_with_password(user, password, "1.0", "tests")
    return session


def login(address=None):
    """What can be called in a session."""
    return enter(address).xenapi


def refused(code, call, *params):
    """The call fails with this code; returns the error's words."""
    try:
        call(*params)
    except XenAPI.Failure as failure:
        assert failure.details[0] == code, failure.details
        return failure.details
    raise AssertionError("%s was expected" % code)
