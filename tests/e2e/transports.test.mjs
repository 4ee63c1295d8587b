// Every transport, under load, and while clients move from one to the other.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Bridge, token } from './support/bridge.mjs';
import { client, TRANSPORTS } from './support/client.mjs';
import { example, Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

describe('transports', { timeout: 180_000 }, () => {
  let log;
  let bridge;
  const clients = [];

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start({ ...log.environment, RTMN__LOG__FILTER: 'info' });
  });
  after(async () => {
    clients.forEach((socket) => socket.close());
    await bridge?.end();
    await log?.end();
  });

  test('each client hears every event since its connection, in order, also while it moves to WebSocket', async () => {
    const template = example('promotion.flashSaleStarted', { flash_sale_123: 'flash_sale_SEQ' });
    let issued = 0;
    const produce = async (count) => {
      const records = Array.from({ length: count }, () => {
        issued += 1;
        return { type: 'promotion.flashSaleStarted', text: template.replaceAll('SEQ', String(issued)) };
      });
      await log.append(...records);
    };
    await produce(1);

    let producing = true;
    const production = (async () => {
      while (producing || issued < 3000) await produce(20);
    })();
    const started = [];
    for (let round = 0; round < 10; round += 1) {
      for (const [name, transports] of Object.entries(TRANSPORTS)) {
        const socket = client(bridge.url, { token: token(unique('usr')) }, { transports });
        socket.name = name;
        socket.reasons = [];
        socket.on('connect', () => (socket.after = issued));
        socket.on('disconnect', (reason) => socket.reasons.push(reason));
        started.push(socket);
        clients.push(socket);
      }
      // Not all in the same moment: upgrades are to meet different states of the queues.
      await until(() => started.every((socket) => socket.connected), 'the clients are connected');
    }
    const transportOf = (socket) => socket.io.engine.transport.name;
    await until(() => started.every((socket) => socket.name !== 'default' || transportOf(socket) === 'websocket'), 'the upgrades');
    producing = false;
    await production;
    const last = `flash_sale_${issued}`;
    await until(() => started.every((socket) => socket.heard.at(-1)?.data.id === last), () =>
      started.map((socket) => `${socket.name}: ${socket.heard.at(-1)?.data.id} of ${last}, ${socket.reasons}`).join('\n'), 60);

    for (const socket of started) {
      const numbers = socket.heard.map(({ data }) => Number(data.id.replace('flash_sale_', '')));
      const [first] = numbers;
      assert.ok(first <= socket.after + 1, `${socket.name} connected at ${socket.after} and heard ${first} first`);
      assert.deepEqual(numbers, Array.from({ length: issued - first + 1 }, (_, n) => first + n), socket.name);
      assert.deepEqual(socket.reasons, [], `${socket.name} stayed connected`);
      const positions = new Set(socket.heard.map(({ args }) => args.at(-1)));
      assert.equal(positions.size, numbers.length, 'each event has a position of its own');
      assert.equal(transportOf(socket), socket.name === 'polling' ? 'polling' : 'websocket');
    }
    const spread = new Set(started.filter(({ name }) => name === 'default').map((socket) => socket.after));
    assert.ok(spread.size > 1, 'clients connected at different moments of the load');
  });

  test('each partition keeps its order over every transport, and nothing comes twice', async () => {
    const followers = Object.entries(TRANSPORTS).map(([name, transports]) => {
      const socket = client(bridge.url, { token: token('boss', { role: 'admin' }) }, { transports });
      clients.push(socket);
      return Object.assign(socket, { name });
    });
    await until(() => followers.every((socket) => socket.connected), 'the admins are connected');
    const record = (n) => ({
      type: 'order.created', partition: n % 3, key: `o${n}`,
      text: example('order.created', { ord_8f2c41d7: `o${n}`, '1250.50': `${n}.0${n % 10}` }),
    });
    await log.append(...Array.from({ length: 2000 }, (_, n) => record(n)));
    const orders = (socket) => socket.heard.filter(({ event }) => event === 'dashboard.newOrder').map(({ data }) => data.orderId);
    await until(() => followers.every((socket) => orders(socket).length >= 2000), () => `${followers.map((one) => orders(one).length)}`, 60);
    for (const socket of followers) {
      for (const partition of [0, 1, 2]) {
        const expected = Array.from({ length: 2000 }, (_, n) => n).filter((n) => n % 3 === partition).map((n) => `o${n}`);
        assert.deepEqual(orders(socket).filter((id) => Number(id.slice(1)) % 3 === partition), expected, `${socket.name}, partition ${partition}`);
      }
    }
  });

  test('a client that closes its WebSocket is answered by one close frame, and the connection ends', async () => {
    const request = http.request(`${bridge.url}/socket.io/?EIO=4&transport=websocket`, {
      agent: false,
      headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' },
    }).end();
    const [, socket, head] = await once(request, 'upgrade');
    const bytes = [head];
    socket.on('data', (data) => bytes.push(data));
    const all = () => Buffer.concat(bytes);
    await until(() => all().includes('pingInterval'), 'the open packet');
    const opened = all().length;
    socket.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
    assert.deepEqual([...all().subarray(opened)], [0x88, 0x02, 0x03, 0xe8]);
  });
});
