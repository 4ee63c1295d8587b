// Tokens that are exchanged and that run out, and nodes that go down and come back: what a stock client makes of it.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Bridge, inSeconds, merchantToken, token } from './support/bridge.mjs';
import { ask, client, connect, heard, hears, TRANSPORTS, upgraded } from './support/client.mjs';
import { example, Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

const OK = { ok: true };

describe('the life of a connection', { timeout: 120_000 }, () => {
  let log;
  let bridge;
  const open = [];
  const watched = (socket) => {
    socket.reasons = [];
    socket.on('disconnect', (reason) => socket.reasons.push(reason));
    open.push(socket);
    return socket;
  };
  const join = async (...args) => watched(await connect(bridge.url, ...args));
  const environment = () => ({
    ...log.environment, RTMN__AUTH__GRACE: '500ms', RTMN__AUTH__LEEWAY: '0s', RTMN__AUTH__EXPIRING_NOTICE: '2s',
    RTMN__SOCKET__SETTLE: '50ms', RTMN__SERVER__SHUTDOWN_DEADLINE: '10s',
  });

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start(environment());
  });
  afterEach(() => open.splice(0).forEach((socket) => socket.close()));
  after(async () => {
    await bridge?.end();
    await log?.end();
  });

  const ordered = (order, user, merchant) => ({
    type: 'order.created', key: order, text: example('order.created', { ord_8f2c41d7: order, usr_52190: user, mer_1042: merchant }),
  });
  const sale = (id) => ({ type: 'promotion.flashSaleStarted', topic: 'order', text: example('promotion.flashSaleStarted', { flash_sale_123: id }) });
  const stock = (id) => ({ type: 'promotion.stockUpdate', text: example('promotion.stockUpdate', { flash_sale_123: id }) });

  test('a new token keeps the rooms and the connection beyond the old one’s end', async () => {
    const [user, order, flash] = [unique('usr'), unique('ord'), unique('s')];
    const socket = await join(token(user, inSeconds(2)));
    await log.append(ordered(order, user, unique('mer')));
    assert.deepEqual(await ask(socket, 'order:subscribe', order), OK);
    assert.deepEqual(await ask(socket, 'join', `flash_sale:${flash}`), OK);
    assert.deepEqual(await ask(socket, 'auth:refresh', { token: token(user) }), OK);
    const old = await join(token(user, inSeconds(2)));
    await until(() => old.reasons.length, 'one whose token was not exchanged is closed');
    await log.append(stock(flash), { type: 'delivery.locationUpdated', text: example('delivery.locationUpdated', { ord_8f2c41d7: order }) });
    await hears(socket, 'promotion.stockUpdate');
    await hears(socket, 'delivery.locationUpdated');
    assert.deepEqual(socket.reasons, []);
  });

  test('a token of another user, a bad one and none are refused, and the connection stays what it was', async () => {
    const user = unique('usr');
    const socket = await join(token(user));
    const bad = [token(unique('usr')), token(user, inSeconds(-10)), token(user, {}, 'another secret, which is as long as that one'), 'x'];
    for (const one of bad) {
      const answer = await ask(socket, 'auth:refresh', { token: one });
      assert.deepEqual(answer, { ok: false, error: { code: 'invalid_token', message: 'Invalid token' } });
    }
    assert.equal((await ask(socket, 'auth:refresh', {})).ok, false);
    await log.example('wallet.coinsExpiring', { usr_52190: user });
    await hears(socket, 'wallet.coinsExpiring');
    assert.deepEqual(socket.reasons, []);
  });

  test('a merchant that is no longer in the token is left, with its orders; a new one is joined', async () => {
    const [user, kept, lost, won] = [unique('own'), unique('mer'), unique('mer'), unique('mer')];
    const [keptOrder, lostOrder] = [unique('ord'), unique('ord')];
    const socket = await join(merchantToken(user, kept, lost));
    await log.append(ordered(keptOrder, 'c', kept), ordered(lostOrder, 'c', lost));
    await hears(socket, 'order.created', 2);
    for (const order of [keptOrder, lostOrder]) assert.deepEqual(await ask(socket, 'order:subscribe', order), OK);
    assert.deepEqual(await ask(socket, 'auth:refresh', merchantToken(user, kept, won)), OK);
    socket.heard.length = 0;
    const end = unique('end');
    await log.append(
      ...[lost, kept, won].map((merchant) => ordered(unique('ord'), 'c', merchant)),
      ...[lostOrder, keptOrder].map((order) => ({ type: 'delivery.locationUpdated', topic: 'order', text: example('delivery.locationUpdated', { ord_8f2c41d7: order }) })),
      sale(end),
    );
    await hears(socket, 'promotion.flashSaleStarted');
    assert.equal(heard(socket, 'order.created').length, 2);
    assert.deepEqual(heard(socket, 'delivery.locationUpdated').map(({ orderId }) => orderId), [keptOrder]);
  });

  for (const [name, transports] of Object.entries(TRANSPORTS)) {
    test(`a token that runs out is announced, then the transport is closed and the client comes back with a new one (${name})`, async () => {
      const user = unique('usr');
      const tokens = [token(user, inSeconds(3)), token(user)];
      const { exp } = inSeconds(3);
      let asked = 0;
      const socket = watched(client(bridge.url, (give) => give({ token: tokens[Math.min(asked++, 1)] }), { transports }));
      await until(() => socket.connected, 'it is connected');
      const notice = (await hears(socket, 'auth:expiring'))[0];
      assert.ok(Math.abs(notice.expiresAt - exp) <= 1, `${notice.expiresAt}, ${exp}`);
      assert.equal(socket.heard.find(({ event }) => event === 'auth:expiring').args.length, 1, 'no string at the end: it has no position');
      assert.ok(Date.now() / 1000 < notice.expiresAt, 'it is told before');
      await until(() => socket.reasons.length === 1, 'it is closed');
      assert.ok(Date.now() / 1000 >= notice.expiresAt, 'not before the token has run out');
      await until(() => socket.connected, 'it is back');
      assert.match(socket.reasons[0], /^transport (close|error)$/, 'a reason after which the client comes back by itself');
      assert.ok(!socket.raw.some((text) => text.startsWith('1')), 'no DISCONNECT packet');
      await log.example('wallet.coinsExpiring', { usr_52190: user });
      await hears(socket, 'wallet.coinsExpiring');
      assert.deepEqual(socket.said, []);
    });
  }

  test('a node that is told to end says good-bye in a way to come back from, exits with 0, and gets its clients back', async () => {
    const sockets = await Promise.all(Object.values(TRANSPORTS).flatMap((transports) =>
      Array.from({ length: 5 }, () => join(token(unique('usr')), { transports }))));
    await Promise.all(sockets.filter((_, n) => n < 5).map(upgraded));
    // One is in the middle of a wait, one has just come: nothing may hold up the end.
    sockets[0].emit('order:subscribe', unique('ord'));
    const { address } = bridge;
    const began = performance.now();
    assert.equal(await bridge.terminate(), 0);
    assert.ok(performance.now() - began < 10_000, 'within the deadline');
    assert.equal(bridge.events('node.stopped')[0].drained, 'Clean');
    await until(() => sockets.every(({ reasons }) => reasons.length), 'each is told');
    for (const socket of sockets) {
      assert.match(socket.reasons[0], /^transport (close|error)$/);
      assert.ok(socket.active, 'it will try again');
      assert.ok(!socket.raw.some((text) => text.startsWith('1')), 'no DISCONNECT packet');
    }
    await bridge.end();
    bridge = await Bridge.start(environment(), address);
    await until(() => sockets.every(({ connected }) => connected), 'all are back', 60);
    const id = unique('flash_sale');
    await log.append(sale(id));
    await until(() => sockets.every((socket) => heard(socket, 'promotion.flashSaleStarted').some((one) => one.id === id)), 'all hear again');
  });
});
