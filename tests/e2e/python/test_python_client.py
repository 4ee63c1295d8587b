"""A client of another language and another implementation of the protocol: python-socketio."""

import asyncio
import secrets

import pytest
import socketio
from conftest import example, token, until

TRANSPORTS = {"default": None, "websocket": ["websocket"], "polling": ["polling"]}


def client(http):
    """A client that remembers what it hears."""
    sio = socketio.AsyncClient(http_session=http, reconnection_delay=0.2, reconnection_delay_max=0.5)
    sio.heard = []
    sio.refused = []
    sio.on("*", lambda event, *args: sio.heard.append((event, *args)))
    sio.on("connect_error", sio.refused.append)
    return sio


def named(sio, event):
    """The payloads that it heard under that name."""
    return [args[0] for name, *args in sio.heard if name == event]


async def test_python_clients_hear_what_is_theirs_over_every_transport(bridge, http):
    suffix = secrets.token_hex(6)
    order, merchant = f"ord_{suffix}", f"mer_{suffix}"
    clients = {}
    for name, transports in TRANSPORTS.items():
        sio = clients[name] = client(http)
        await sio.connect(bridge.url, auth={"token": token(f"usr_{name}_{suffix}")}, transports=transports)
    owner = client(http)
    owner_token = token(f"own_{suffix}", role="merchant_owner", merchant_ids=[merchant])
    await owner.connect(bridge.url, auth={"token": owner_token})

    asked = asyncio.create_task(clients["default"].call("order:subscribe", order))
    record = example("order.created", ord_8f2c41d7=order, usr_52190=f"usr_default_{suffix}", mer_1042=merchant)
    produced = asyncio.create_task(asyncio.to_thread(bridge.produce, "orders", ("order.created", record)))
    foreign = await clients["polling"].call("order:subscribe", order)
    assert foreign == {"ok": False, "error": {"code": "unauthorized", "message": "Unauthorized room access"}}
    await produced
    first = await asked
    if not first["ok"]:  # the producer needed longer than the bridge waits for the record
        assert await clients["default"].call("order:subscribe", order) == {"ok": True}
    await until(lambda: named(owner, "order.created"), "the order at its merchant")
    assert named(owner, "order.created") == [
        {
            "orderId": order,
            "orderNumber": "RZ-20261123-0417",
            "customer": {"name": "Priya", "phone": "+919812345678"},
            "items": 2,
            "total": 1250.5,
            "type": "delivery",
            "createdAt": "2026-11-23T09:30:00.000Z",
        }
    ]
    assert named(owner, "notification.sound") == [{"type": "new_order"}]

    place = example("delivery.locationUpdated", ord_8f2c41d7=order)
    await asyncio.to_thread(
        bridge.produce,
        "delivery",
        ("delivery.locationUpdated", place),
        ("promotion.flashSaleStarted", example("promotion.flashSaleStarted")),
    )
    for name, sio in clients.items():
        await until(lambda sio=sio: named(sio, "promotion.flashSaleStarted"), f"the sale at {name}")
        assert len(named(sio, "delivery.locationUpdated")) == (1 if name == "default" else 0), name
        assert all(isinstance(args[-1], str) for _, *args in sio.heard), "each event ends in its position"
    assert clients["default"].transport() == "websocket"
    assert clients["polling"].transport() == "polling"
    for sio in (*clients.values(), owner):
        await sio.disconnect()
    await until(lambda: len(bridge.events("socket.disconnected")) == 4, "the ends are logged")


async def test_a_python_client_is_told_why_it_is_refused(bridge, http):
    required, invalid = "Authentication token required", "Invalid token"
    refusals = [
        ({}, required),
        ({"token": ""}, required),
        ({"token": "x"}, invalid),
        ({"token": token("u", exp=1)}, invalid),
    ]
    for transports in TRANSPORTS.values():
        for auth, message in refusals:
            sio = client(http)
            with pytest.raises(socketio.exceptions.ConnectionError):
                await sio.connect(bridge.url, auth=auth, transports=transports, retry=False)
            assert [reason["message"] for reason in sio.refused] == [message], (transports, auth)
            assert not sio.connected
