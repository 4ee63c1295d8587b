// What the bridge says no to, how it says it, and that a no tells nothing.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { adminToken, Bridge, inSeconds, merchantToken, token } from './support/bridge.mjs';
import { ask, client, connect, heard, hears, TRANSPORTS } from './support/client.mjs';
import { example, Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

const OK = { ok: true };
const UNAUTHORIZED = { ok: false, error: { code: 'unauthorized', message: 'Unauthorized room access' } };
const WAIT = 1000;

describe('refusals', { timeout: 120_000 }, () => {
  let log;
  let bridge;
  const open = [];
  const join = async (...args) => {
    const socket = await connect(bridge.url, ...args);
    open.push(socket);
    return socket;
  };

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start({ ...log.environment, RTMN__SOCKET__ORDER_WAIT: `${WAIT}ms`, RTMN__AUTH__LEEWAY: '0s', RTMN__SOCKET__SETTLE: '10ms' });
  });
  afterEach(() => open.splice(0).forEach((socket) => socket.close()));
  after(async () => {
    await bridge?.end();
    await log?.end();
  });

  const unsigned = () => {
    const [, body] = token('u').split('.');
    return `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${body}.`;
  };

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`a bad token is refused in so many words, and the client does not come again (${name})`, async () => {
      const required = [undefined, {}, { token: '' }, { token: null }, { token: 7 }, { jwt: token('u') }];
      const invalid = [
        'x', 'a.b.c', '\u0000', 'é'.repeat(2000), unsigned(), token('u', {}, 'another secret, which is as long as that one'),
        token('u', inSeconds(-60)), token('u', { exp: undefined }), token('u', { nbf: inSeconds(60).exp }),
        token(undefined), token('1:user:2'), token('*'), token(''), token({ $ne: 1 }), `${token('u')}x`,
      ].map((bad) => ({ token: bad }));
      const expect = [...required.map((auth) => [auth, 'Authentication token required']), ...invalid.map((auth) => [auth, 'Invalid token'])];
      const refused = expect.map(([auth]) => client(bridge.url, auth, { transports, reconnectionDelay: 20, reconnectionDelayMax: 50 }));
      open.push(...refused);
      await until(() => refused.every((socket) => socket.said.length), () => `an answer to ${refused.findIndex((s) => !s.said.length)}`);
      // Twenty times the client's delay before it tries again: absence can only be watched.
      await pause(1000);
      refused.forEach((socket, n) => {
        assert.deepEqual(socket.said, [expect[n][1]], JSON.stringify(expect[n][0]));
        assert.equal(socket.active, false);
        assert.equal(socket.connected, false);
        assert.equal(socket.raw.length, 1, 'nothing but the refusal was sent');
      });
    });
  }

  test('a foreign order, an unknown order and what is no id are refused alike', async () => {
    const order = unique('ord');
    const admin = await join(adminToken(unique('admin')));
    await log.example('order.created', { ord_8f2c41d7: order });
    await hears(admin, 'dashboard.newOrder');
    const curious = await join(token(unique('usr')));
    const wrong = [
      order, unique('ord'), '1:user:2', '*', '', '\u0000', `${order}\u0000`, ` ${order}`, 'é', '🍬', 'x'.repeat(129), 'x'.repeat(10_000),
      '../admin:dashboard', 'order:1', null, 7, true, [], [order], {}, { orderId: null }, { orderId: [order] },
    ];
    for (const id of wrong) assert.deepEqual(await ask(curious, 'order:subscribe', id), UNAUTHORIZED, JSON.stringify(id)?.slice(0, 40));
    assert.deepEqual(await ask(curious, 'order:subscribe'), UNAUTHORIZED);
    assert.deepEqual(curious.heard, []);
    for (const id of [order, unique('ord'), '*']) curious.emit('order:subscribe', id);
    const errors = await hears(curious, 'error', 3);
    assert.deepEqual(errors, Array(3).fill({ message: 'Unauthorized room access' }));
    assert.ok(curious.heard.every(({ args }) => args.length === 1), 'a refusal carries no position');
    // None of it was a membership.
    await log.append(
      { type: 'delivery.locationUpdated', text: example('delivery.locationUpdated', { ord_8f2c41d7: order }) },
      { type: 'promotion.flashSaleStarted', text: example('promotion.flashSaleStarted'), topic: 'delivery' },
    );
    await hears(curious, 'promotion.flashSaleStarted');
    assert.deepEqual(heard(curious, 'delivery.locationUpdated'), []);
  });

  test('the time of a refusal does not tell a foreign order from an unknown one', async () => {
    const orders = Array.from({ length: 8 }, () => unique('ord'));
    const admin = await join(adminToken(unique('admin')));
    await log.append(...orders.map((order) => ({ type: 'order.created', text: example('order.created', { ord_8f2c41d7: order }) })));
    await hears(admin, 'dashboard.newOrder', orders.length);
    const curious = await join(token(unique('usr')));
    const time = async (id) => {
      const began = performance.now();
      assert.deepEqual(await ask(curious, 'order:subscribe', id), UNAUTHORIZED);
      return performance.now() - began;
    };
    // Alternating, all at once: whatever slows one slows the other.
    const pairs = await Promise.all(orders.map((order) => Promise.all([time(order), time(unique('ord'))])));
    for (const [foreign, unknown] of pairs) {
      assert.ok(foreign >= WAIT - 20 && unknown >= WAIT - 20, `${foreign} ms, ${unknown} ms`);
      assert.ok(Math.abs(foreign - unknown) < 300, `${foreign} ms, ${unknown} ms`);
    }
  });

  test('one’s own order may be asked for before its record, and a wish that is taken back is not granted', async () => {
    const [user, order, other] = [unique('usr'), unique('ord'), unique('ord')];
    const customer = await join(token(user));
    const wish = ask(customer, 'order:subscribe', order);
    const withdrawn = ask(customer, 'order:subscribe', other);
    assert.deepEqual(await ask(customer, 'order:unsubscribe', other), OK);
    await log.append(...[order, other].map((id) => ({ type: 'order.created', text: example('order.created', { ord_8f2c41d7: id, usr_52190: user }) })));
    assert.deepEqual(await wish, OK);
    assert.deepEqual(await withdrawn, UNAUTHORIZED);
    await log.append(...[other, order].map((id) => ({ type: 'delivery.locationUpdated', text: example('delivery.locationUpdated', { ord_8f2c41d7: id }) })));
    const places = await hears(customer, 'delivery.locationUpdated');
    assert.deepEqual(places.map(({ orderId }) => orderId), [order]);
  });

  test('rooms are open to whom they belong, and closed to everybody else', async () => {
    const [user, mine, theirs] = [unique('usr'), unique('mer'), unique('mer')];
    const rules = [
      [token(user), [`user:${user}`, 'flash_sale:1', 'flash_sale:flash_sale_1'], [`user:${unique('usr')}`, `merchant:${mine}`, 'admin:dashboard', 'admin:other']],
      [token(user, { merchant_ids: [mine] }), [], [`merchant:${mine}`]],
      [token(user, { role: 'emperor', merchant_ids: [mine] }), [], [`merchant:${mine}`, 'admin:dashboard']],
      [merchantToken(user, mine), [`merchant:${mine}`, `user:${user}`], [`merchant:${theirs}`, 'admin:dashboard']],
      [adminToken(user), ['admin:dashboard', `order:${unique('ord')}`], ['user:somebody', `merchant:${theirs}`]],
    ];
    const malformed = ['', 'user', 'user:', ':', `user:${user}:x`, `USER:${user}`, `user:${user}\u0000`, ` user:${user}`, 'room:1', 'order:*', 'x'.repeat(10_000), null, 3, {}];
    for (const [bearer, granted, refused] of rules) {
      const socket = await join(bearer);
      for (const room of granted) assert.deepEqual(await ask(socket, 'join', room), OK, room);
      for (const room of [...refused, ...malformed]) assert.deepEqual(await ask(socket, 'join', room), UNAUTHORIZED, String(room).slice(0, 40));
    }
  });

  test('joining twice is one membership, and leaving once ends it', async () => {
    const [sale, end] = [unique('s'), unique('end')];
    const fan = await join(token(unique('usr')));
    for (const room of [`flash_sale:${sale}`, `flash_sale:flash_sale_${sale}`, `flash_sale:${sale}`]) assert.deepEqual(await ask(fan, 'join', room), OK);
    const stock = { type: 'promotion.stockUpdate', text: example('promotion.stockUpdate', { flash_sale_123: `flash_sale_${sale}` }) };
    await log.append(stock, stock);
    await hears(fan, 'promotion.stockUpdate', 2);
    assert.deepEqual(await ask(fan, 'leave', `flash_sale:${sale}`), OK);
    assert.deepEqual(await ask(fan, 'leave', `flash_sale:${sale}`), OK);
    await log.append(stock, { type: 'promotion.flashSaleStarted', text: example('promotion.flashSaleStarted', { flash_sale_123: end }) });
    await hears(fan, 'promotion.flashSaleStarted');
    assert.equal(heard(fan, 'promotion.stockUpdate').length, 2);
  });

  test('an unknown event is answered, and the reserved names cost nobody anything', async () => {
    const socket = await join(token(unique('usr')));
    assert.equal((await ask(socket, 'order:delete', 'x')).error.code, 'unknown_event');
    assert.equal((await ask(socket, '__proto__', {})).ok, false);
    assert.deepEqual(await ask(socket, 'join', 'flash_sale:1'), OK);
    assert.ok(socket.connected);
  });

  test('whoever is gone has left nothing behind', async () => {
    const counts = async () => Promise.all(['rtmn_rooms', 'rtmn_sockets', 'rtmn_transports'].map((name) => bridge.metric(name)));
    await until(async () => (await counts()).every((count) => count === 0), async () => `nothing at the beginning: ${await counts()}`);
    const user = unique('usr');
    const sockets = await Promise.all(Object.values(TRANSPORTS).map((transports) => join(merchantToken(user, 'm1', 'm2'), { transports })));
    for (const socket of sockets) {
      await ask(socket, 'join', `flash_sale:${unique('s')}`);
      socket.emit('order:subscribe', unique('ord')); // still waits when the client goes
    }
    await until(async () => (await counts()).every((count) => count >= 3), 'rooms, sockets and transports are counted');
    sockets[0].close();
    sockets[1].io.engine.close();
    sockets[1].close();
    sockets[2].io.engine.transport.close();
    sockets[2].close();
    await until(async () => (await counts()).every((count) => count === 0), 'nothing is left');
  });
});
