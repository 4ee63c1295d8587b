// config/nginx.conf as it is, in Debian's nginx, before two stand-ins for bridge nodes that say what reached them.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { repo } from './support/env.mjs';
import { nginx } from './support/servers.mjs';

/** A node: answers with its name and the request's headers, echoes what comes over an upgraded connection. */
class Node {
  constructor(name) {
    this.name = name;
    this.upgraded = new Set();
    this.server = http.createServer((request, response) => this.answer(request, response));
    this.server.on('upgrade', (request, socket) => {
      this.upgraded.add(socket);
      socket.on('error', () => {}).on('close', () => this.upgraded.delete(socket));
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Node: ${name}\r\n\r\n`);
      socket.pipe(socket);
    });
  }

  answer(request, response) {
    if (request.url.includes('slow')) {
      response.write('first');
      this.finish = () => response.end('last');
      return;
    }
    if (request.url === '/readyz') response.statusCode = this.ready === false ? 503 : 200;
    response.end(JSON.stringify({ node: this.name, headers: request.headers }));
  }

  async listen(port = 0) {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = this.server.address().port;
    return this;
  }

  async close() {
    this.upgraded.forEach((socket) => socket.destroy());
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

describe('nginx before two nodes', { timeout: 60_000 }, () => {
  const nodes = [new Node('one'), new Node('two')];
  const addresses = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 2}`);
  let front;

  before(async () => {
    await Promise.all(nodes.map((node) => node.listen()));
    front = await nginx(`127.0.0.1:${nodes[0].port}`, `127.0.0.1:${nodes[1].port}`);
  });
  after(async () => {
    await front?.end();
    await Promise.all(nodes.map((node) => node.close()));
  });

  const ask = (target, { address = '127.0.0.1', ...options } = {}) =>
    http.request({ host: '127.0.0.1', port: front.port, path: target, localAddress: address, agent: false, ...options });

  async function get(target, options) {
    const request = ask(target, options).end();
    const [response] = await once(request, 'response');
    const text = (await response.toArray()).join('');
    return { status: response.statusCode, body: response.statusCode === 200 ? JSON.parse(text) : text };
  }

  async function upgrade(target, options) {
    const headers = { Connection: 'Upgrade', Upgrade: 'websocket' };
    const [response, socket] = await once(ask(target, { headers, ...options }).end(), 'upgrade');
    return { node: response.headers['x-node'], socket };
  }

  const polling = '/socket.io/?EIO=4&transport=polling';

  test('every request of a polling session reaches the node it began on, and both nodes have sessions', async () => {
    const used = new Set();
    for (const address of addresses) {
      const { node } = (await get(polling, { address })).body;
      used.add(node);
      for (const n of [1, 2, 3]) {
        assert.equal((await get(`${polling}&sid=${address}-${n}`, { address })).body.node, node);
        assert.equal((await get(`${polling}&sid=${address}-${n}`, { address, method: 'POST' })).body.node, node);
      }
      const { node: upgradedAt, socket } = await upgrade(`/socket.io/?EIO=4&transport=websocket&sid=${address}`, { address });
      socket.destroy();
      assert.equal(upgradedAt, node);
    }
    assert.deepEqual([...used].sort(), ['one', 'two']);
  });

  test('sessions that begin as a WebSocket are spread evenly, even from one address, and carry bytes both ways', async () => {
    const all = [];
    for (let n = 0; n < 20; n += 1) all.push(await upgrade('/socket.io/?EIO=4&transport=websocket'));
    const counts = ['one', 'two'].map((name) => all.filter(({ node }) => node === name).length);
    for (const { socket } of all) {
      socket.write('ping');
      assert.equal(String((await once(socket, 'data'))[0]), 'ping');
      socket.destroy();
    }
    assert.ok(Math.abs(counts[0] - counts[1]) <= 2, `${counts}`);
  });

  test('the bridge is told who asks, for which host, and from which origin', async () => {
    const headers = { Host: 'rt.example.com', Origin: 'https://app.example.com' };
    const seen = (await get(polling, { address: '127.0.0.9', headers })).body.headers;
    assert.equal(seen.host, 'rt.example.com');
    assert.equal(seen.origin, 'https://app.example.com');
    assert.equal(seen['x-forwarded-for'], '127.0.0.9');
    assert.equal(seen['x-forwarded-proto'], 'http');
    assert.equal(seen.connection, undefined, 'connections to the nodes are kept');
  });

  test('what a node has written is passed on before it has finished', async () => {
    const request = ask(`${polling}&sid=slow`).end();
    const [response] = await once(request, 'response');
    assert.equal(String((await once(response, 'data'))[0]), 'first');
    nodes.forEach((node) => node.finish?.());
    assert.equal((await response.toArray()).join(''), 'last');
  });

  test('a node that is down loses its new sessions to the other, and gets new ones when it is back', async () => {
    const [, two] = nodes;
    const { port } = two;
    await two.close();
    for (const address of addresses) {
      assert.equal((await get(polling, { address })).body.node, 'one');
      const { node, socket } = await upgrade('/socket.io/?EIO=4&transport=websocket', { address });
      socket.destroy();
      assert.equal(node, 'one');
    }
    nodes[1] = await new Node('two').listen(port);
    const seenAgain = async () => {
      for (const address of addresses) if ((await get(polling, { address })).body.node === 'two') return true;
      return false;
    };
    const end = Date.now() + 30_000;
    while (!(await seenAgain())) assert.ok(Date.now() < end, 'the node gets no session within 30 s of its return');
  });

  test('it is ready while one node is, and nodes that are not still get sessions', async () => {
    nodes[0].ready = false;
    for (let n = 0; n < 4; n += 1) assert.equal((await get('/readyz')).status, 200);
    nodes[1].ready = false;
    for (let n = 0; n < 4; n += 1) assert.equal((await get('/readyz')).status, 503);
    const { node, socket } = await upgrade('/socket.io/?EIO=4&transport=websocket');
    socket.destroy();
    assert.ok(node);
    nodes.forEach((node) => (node.ready = true));
  });

  test('nothing but the sockets and the readiness is reachable', async () => {
    for (const target of ['/', '/metrics', '/healthz', '/socket.iox/']) assert.equal((await get(target)).status, 404);
  });

  test('session ids and whatever else a query holds stay out of the log', async () => {
    await get(`${polling}&sid=very-secret`, { address: '127.0.0.33' });
    const log = () => fs.readFile(path.join(front.dir, 'access.log'), 'utf8');
    const end = Date.now() + 10_000;
    while (!(await log()).includes('127.0.0.33')) assert.ok(Date.now() < end, 'the request is not in the log');
    assert.doesNotMatch(await log(), /secret|sid=/);
  });

  test('nginx waits longer for a quiet connection than the bridge itself does', async () => {
    const config = await fs.readFile(path.join(repo, 'config/nginx.conf'), 'utf8');
    const bridge = await fs.readFile(path.join(repo, 'config/default.toml'), 'utf8');
    const unit = { s: 1, m: 60 };
    const seconds = (text, pattern) => {
      const [, number, suffix] = pattern.exec(text);
      return Number(number) * unit[suffix];
    };
    const ping = seconds(bridge, /^ping_interval = "(\d+)(s|m)"/m) + seconds(bridge, /^ping_timeout = "(\d+)(s|m)"/m);
    for (const name of ['proxy_read_timeout', 'proxy_send_timeout']) {
      assert.ok(seconds(config, new RegExp(`^\\s*${name} (\\d+)(s|m);`, 'm')) > ping, `${name} > ${ping} s`);
    }
  });
});
