"""A bridge of the module's own on topics of its own, on the Kafka that scripts/test has started."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import subprocess
import time

import aiohttp
import pytest_asyncio

REPO = pathlib.Path(__file__).resolve().parents[3]
SECRET = "a secret of the tests, long enough for HS256"
DEADLINE = 30


def token(sub, **claims):
    """A signed token that is good for an hour."""

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    now = int(time.time())
    body = {"sub": sub, "role": "customer", "iat": now, "exp": now + 3600, **claims}
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(body).encode())
    signature = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(signature)).decode()


async def until(condition, what, seconds=DEADLINE):
    """Waits until the condition holds."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.01)
    return result


class Bridge:
    """A node on topics of its own."""

    def __init__(self, log):
        self.prefix = f"py_{secrets.token_hex(6)}"
        self.topics = {name: f"{self.prefix}.{name}" for name in ("orders", "wallet", "delivery", "promotions")}
        self.log = log
        environment = {
            "PATH": os.environ["PATH"],
            "JWT_SECRET": SECRET,
            "KAFKA_BROKERS": os.environ["RTMN_TEST_KAFKA"],
            "RTMN__KAFKA__TOPICS": ",".join(self.topics.values()),
            "RTMN__DASHBOARD__TOPIC": self.topics["orders"],
            "RTMN__SERVER__LISTEN": "127.0.0.1:0",
            "RTMN__ADMIN__LISTEN": "127.0.0.1:0",
            "RTMN__LOG__JSON": "true",
        }
        self.environment = environment
        subprocess.run([os.environ["RTMN_BIN"], "topics", "create"], env=environment, check=True, timeout=60)
        self.process = subprocess.Popen([os.environ["RTMN_BIN"], "serve"], env=environment, stderr=log.open("wb"))

    def events(self, name):
        """Its log lines of that event."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}"))
        return [line for line in lines if line.get("event") == name]

    @property
    def url(self):
        """Where clients connect."""
        return "http://" + self.events("node.started")[0]["public"]

    def produce(self, topic, *records):
        """Appends records `(type, data as text)` with the console producer of Kafka."""
        command = [
            REPO / "scripts/servers/tool", "kafka-console-producer",
            "--bootstrap-server", os.environ["RTMN_TEST_KAFKA"],
            "--topic", self.topics[topic], "--property", "parse.headers=true",
        ]  # fmt: skip
        lines = "".join(f"type:{kind}\t{json.dumps(json.loads(data), ensure_ascii=False)}\n" for kind, data in records)
        subprocess.run(command, input=lines.encode(), check=True, timeout=60, stdout=subprocess.DEVNULL)


def example(name, **replaced):
    """An example record's text with other ids."""
    text = (REPO / f"schemas/examples/{name}.json").read_text()
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest_asyncio.fixture
async def bridge(tmp_path):
    """A running bridge."""
    node = Bridge(tmp_path / "bridge.log")
    try:
        await until(lambda: node.process.poll() is not None or node.events("node.filled"), "the bridge lets clients in")
        assert node.process.poll() is None, node.log.read_text()
        yield node
    finally:
        node.process.kill()
        node.process.wait()


@pytest_asyncio.fixture
async def http():
    """Clients' HTTP session: without one of their own, nothing is left to close."""
    async with aiohttp.ClientSession() as session:
        yield session
