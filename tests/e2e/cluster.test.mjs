// Two bridge nodes behind config/nginx.conf, real Kafka, stock clients from many addresses over every transport: each
// client hears each record once, whichever node it is on.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { io } from 'socket.io-client';
import { bin, repo } from './support/env.mjs';
import { nginx, Server } from './support/servers.mjs';

const run = promisify(execFile);
const secret = 'a secret of the tests, long enough for HS256';

/** Waits until `condition` holds. */
async function until(condition, what, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `not within ${seconds} s: ${what}`);
    await pause(50);
  }
}

const ready = (port) => fetch(`http://127.0.0.1:${port}/readyz`).then((answer) => answer.ok, () => false);

/** A port that nothing listens on now, below the kernel's range for outgoing connections. */
async function freePort() {
  for (;;) {
    const server = http.createServer();
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    const free = once(server.listen(port, '127.0.0.1'), 'listening').then(() => true, () => false);
    if (await free) {
      server.close();
      return port;
    }
  }
}

describe('two nodes behind nginx', { timeout: 180_000 }, () => {
  const transports = [['polling', 'websocket'], ['polling'], ['websocket']];
  const nodes = [];
  let kafka;
  let front;
  let environment;

  const command = (...args) => run(bin(), args, { env: environment });

  async function startNode() {
    const port = await freePort();
    const admin = `127.0.0.1:${await freePort()}`;
    const env = { ...environment, PORT: String(port), RTMN__ADMIN__LISTEN: admin };
    const child = spawn(bin(), ['serve'], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    nodes.push({ child, port, admin });
    await until(() => ready(port), 'the node is ready', 60);
  }

  before(async () => {
    kafka = await Server.start('kafka');
    environment = { ...process.env, KAFKA_BROKERS: `127.0.0.1:${kafka.port}`, JWT_SECRET: secret, RTMN__LOG__FILTER: 'warn' };
    await command('topics', 'create');
    await Promise.all([startNode(), startNode()]);
    front = await nginx(...nodes.map(({ port }) => `127.0.0.1:${port}`));
  });
  after(async () => {
    nodes.forEach(({ child }) => child.kill('SIGKILL'));
    await front?.end();
    await kafka?.end();
  });

  /** A stock client from this address; its events are in `heard`. */
  async function client(address, options) {
    const { stdout: token } = await command('token', '--sub', `user-${address}`);
    const agent = new http.Agent({ keepAlive: true, localAddress: address });
    const socket = io(`http://127.0.0.1:${front.port}`, { auth: { token: token.trim() }, agent, localAddress: address, forceNew: true, ...options });
    socket.heard = [];
    socket.onAny((event, data) => socket.heard.push({ event, data }));
    const [reason] = await Promise.race([once(socket, 'connect').then(() => []), once(socket, 'connect_error')]);
    assert.equal(reason, undefined, `${address} ${options.transports}: ${reason}`);
    return socket;
  }

  const connections = async ({ admin }) => {
    const metrics = await (await fetch(`http://${admin}/metrics`)).text();
    return [...metrics.matchAll(/^rtmn_sockets\{[^}]*\} (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  };

  /** Announces a flash sale, which everyone hears. */
  async function announce(id) {
    const example = JSON.parse(await fs.readFile(path.join(repo, 'schemas/examples/promotion.flashSaleStarted.json'), 'utf8'));
    const record = JSON.stringify({ type: 'promotion.flashSaleStarted', data: { ...example, id } });
    const producer = execFile(path.join(repo, 'scripts/servers/tool'), ['kafka-console-producer',
      '--bootstrap-server', environment.KAFKA_BROKERS, '--topic', 'rtmn.promotions']);
    producer.stdin.end(`${record}\n`);
    assert.equal((await once(producer, 'close'))[0], 0);
  }

  test('stock clients of every transport hear each record once, on whichever node they are', async () => {
    const clients = await Promise.all(Array.from({ length: 24 }, (_, n) =>
      client(`127.0.1.${n + 1}`, { transports: transports[n % transports.length] })));
    const upgrading = clients.filter((_, n) => n % transports.length === 0);
    await until(() => upgrading.every((socket) => socket.io.engine.transport.name === 'websocket'), 'the upgrades');
    for (const node of nodes) assert.ok((await connections(node)) > 0, 'both nodes have clients');

    await announce('flash_sale_1');
    await announce('flash_sale_2');
    const sales = (socket) => socket.heard.filter(({ event }) => event === 'promotion.flashSaleStarted').map(({ data }) => data.id);
    await until(() => clients.every((socket) => sales(socket).length >= 2), 'both sales at every client');
    for (const socket of clients) assert.deepEqual(sales(socket), ['flash_sale_1', 'flash_sale_2']);
    clients.forEach((socket) => socket.close());
  });

  test('the clients of a node that dies come back on the other one and hear what comes', async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, (_, n) =>
      client(`127.0.2.${n + 1}`, { transports: transports[n % transports.length], reconnectionDelay: 200 })));
    nodes[1].child.kill('SIGKILL');
    await until(async () => clients.every((socket) => socket.connected) && (await connections(nodes[0])) === clients.length,
      'every client on the other node', 60);
    await announce('flash_sale_3');
    const heard = (socket) => socket.heard.some(({ data }) => data?.id === 'flash_sale_3');
    await until(() => clients.every(heard), 'the sale at every client');
    clients.forEach((socket) => socket.close());
  });
});
