// Which pages may connect, over both transports, before any token is looked at; and that no secret reaches a log.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Bridge, merchantToken, SECRET, token } from './support/bridge.mjs';
import { ask, client, connect, hears } from './support/client.mjs';
import { Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

const APPS = { RTMN__ORIGINS__ALSO: 'http://localhost:8081', CUSTOMER_APP_URL: 'https://app.example.com', MERCHANT_APP_URL: 'https://merchant.example.com', ADMIN_APP_URL: 'https://admin.example.com' };
const PUBLIC = 'https://rt.example.com';
const ALLOWED = ['https://app.example.com', 'https://merchant.example.com', 'https://admin.example.com', 'http://localhost:8081', PUBLIC];
const EVIL = ['https://evil.example', 'http://app.example.com', 'https://app.example.com.evil.example', 'https://app.example.com:444', 'null', '', '*'];

describe('origins and secrets', { timeout: 60_000 }, () => {
  let log;
  let bridge;

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start({ ...log.environment, ...APPS, RTMN__SERVER__PUBLIC_ORIGIN: PUBLIC, RTMN__LOG__FILTER: 'trace' });
  });
  after(async () => {
    await bridge?.end();
    await log?.end();
  });

  async function request(query, { origin, method = 'GET', websocket, headers = {} } = {}) {
    const upgrade = { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const sent = http.request(`${bridge.url}/socket.io/?EIO=4&${query}`, {
      agent: false, method, headers: { ...headers, ...(origin === undefined ? {} : { Origin: origin }), ...(websocket ? upgrade : {}) },
    }).end();
    const [response, socket] = await Promise.race([once(sent, 'response'), once(sent, 'upgrade')]);
    if (socket) socket.destroy();
    else response.text = (await response.toArray()).join('');
    return response;
  }

  test('pages of other origins get 403 on both transports', async () => {
    for (const origin of EVIL) {
      for (const response of [
        await request('transport=polling', { origin }),
        await request('transport=websocket', { origin, websocket: true }),
        await request('transport=polling&sid=x', { origin, method: 'POST' }),
      ]) {
        assert.equal(response.statusCode, 403, origin);
        assert.deepEqual(JSON.parse(response.text), { code: 4, message: 'Forbidden' });
        assert.equal(response.headers['access-control-allow-origin'], undefined, origin);
      }
    }
  });

  test('the apps, and React Native by the bridge’s own origin, get in on both transports, with credentials', async () => {
    for (const origin of ALLOWED) {
      const polled = await request('transport=polling', { origin });
      assert.equal(polled.statusCode, 200, origin);
      assert.equal(polled.headers['access-control-allow-origin'], origin);
      assert.equal(polled.headers['access-control-allow-credentials'], 'true');
      assert.match(polled.headers.vary, /origin/i);
      const preflight = await request('transport=polling', {
        origin, method: 'OPTIONS', headers: { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x-app' },
      });
      assert.equal(preflight.statusCode, 200);
      assert.equal(preflight.headers['access-control-allow-origin'], origin);
      assert.equal(preflight.headers['access-control-allow-credentials'], 'true');
      assert.match(preflight.headers['access-control-allow-methods'], /POST/);
      assert.match(preflight.headers['access-control-allow-headers'], /x-app/);
      assert.equal((await request('transport=websocket', { origin, websocket: true })).statusCode, 101, origin);
    }
  });

  test('who sends no origin, as native apps and servers do, gets in', async () => {
    assert.equal((await request('transport=polling')).statusCode, 200);
    assert.equal((await request('transport=websocket', { websocket: true })).statusCode, 101);
  });

  test('a stock client with an app’s origin hears, one with another’s does not connect', async () => {
    const user = unique('usr');
    const options = (origin) => ({ extraHeaders: { Origin: origin } });
    const good = await connect(bridge.url, token(user), options(ALLOWED[0]));
    const bad = client(bridge.url, { token: token(user) }, { ...options(EVIL[0]), reconnection: false });
    await until(() => bad.said.length, 'the refusal');
    assert.equal(bad.connected, false);
    await log.example('wallet.coinsExpiring', { usr_52190: user });
    await hears(good, 'wallet.coinsExpiring');
    good.close();
  });

  test('tokens are not taken from the URL, and neither tokens, nor payloads, nor session ids are ever logged', async () => {
    const [user, merchant, order] = [unique('usr'), unique('mer'), unique('ord')];
    const bearers = [token(user), merchantToken(unique('own'), merchant)];
    for (const name of ['token', 'access_token', 'auth', 'jwt', 'authorization', 'ToKeN'.toLowerCase(), '%74oken']) {
      for (const transport of ['polling', 'websocket']) {
        const response = await request(`transport=${transport}&${name}=${bearers[0]}`, { websocket: transport === 'websocket' });
        assert.equal(response.statusCode, 400, name);
        assert.ok(!response.text.includes(bearers[0]), 'the answer does not repeat it');
      }
    }
    const inQuery = client(bridge.url, {}, { query: { token: bearers[0] }, reconnection: false });
    await until(() => inQuery.said.length, 'a token in the URL is refused');

    const foreign = token(user, {}, 'another secret, which is as long as that one');
    const refused = client(bridge.url, { token: foreign });
    await until(() => refused.said.length, 'the refusal');
    const [customer, owner] = await Promise.all(bearers.map((bearer) => connect(bridge.url, bearer)));
    const sids = [customer, owner].flatMap((socket) => [socket.id, socket.io.engine.id]);
    await log.example('order.created', { ord_8f2c41d7: order, usr_52190: user, mer_1042: merchant, '"Priya"': '"Zarathustra Vishnu"' });
    await hears(owner, 'order.created');
    await ask(customer, 'order:subscribe', order);
    await ask(customer, 'auth:refresh', token(user, { jti: 'another' }));
    await ask(customer, 'auth:refresh', foreign);
    await log.example('wallet.balanceUpdated', { usr_52190: user });
    await hears(customer, 'wallet.balanceUpdated');
    // What cannot be handled is logged with its reason, and still without what is in it.
    await log.append(
      { type: 'wallet.coinsExpiring', text: `{"userId": "${user}", "amount": "Zarathustra"}`, key: 'k' },
      { type: 'wallet.coinsExpiring', text: '{Zarathustra', key: 'k' },
      { type: 'Zarathustra', topic: 'wallet', text: '{}', key: 'k' },
    );
    await until(() => bridge.logged('record.refused') || bridge.metric('rtmn_records_refused_total').then((n) => n >= 2), 'the bad records are seen');
    customer.close();
    owner.close();
    await until(() => bridge.events('socket.disconnected').length >= 3, 'the ends are logged');

    assert.ok(bridge.events('socket.connected').some((line) => line.user === user && line.role === 'customer'), 'the log says who');
    const secrets = {
      'a token': bearers[0], 'its signature': bearers[0].split('.')[2], 'a foreign token': foreign.split('.')[2],
      'the secret': SECRET, 'a name': 'Vishnu', 'a phone number': '919812345678', 'an amount': '1625.75', 'an order number': 'RZ-2026',
      'what a bad record holds': 'amount": "Zarathustra',
    };
    for (const [what, text] of Object.entries(secrets)) {
      const line = bridge.lines.find((one) => one.includes(text));
      assert.equal(line, undefined, `${what} is in the log`);
    }
    for (const sid of sids) assert.ok(!bridge.stderr.includes(sid), 'a session id is in the log');
  });
});
