// An app as they are written: it keeps `connected` in its state; an effect that depends on it attaches the listeners and
// subscribes, some milliseconds after the connection is there, and its cleanup takes the listeners off. Nothing in it
// knows of the bridge.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { io } from 'socket.io-client';
import { Bridge, token } from './support/bridge.mjs';
import { upgraded } from './support/client.mjs';
import { example, Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

class App {
  constructor(url, user, { order, renders = 30 } = {}) {
    this.user = user;
    this.order = order;
    this.heard = [];
    this.effects = 0;
    this.subscribed = 0;
    this.renders = renders;
    this.connected = false;
    this.socket = io(url, { auth: { token: token(user) }, reconnectionAttempts: 5, reconnectionDelay: 1000, forceNew: true });
    this.socket.on('connect', () => this.setConnected(true));
    this.socket.on('disconnect', () => this.setConnected(false));
  }

  /** State is set now; effects run after the next rendering. */
  setConnected(connected) {
    this.connected = connected;
    this.onState?.(connected);
    setTimeout(() => (connected ? this.effect() : this.cleanup?.()), this.renders);
  }

  effect() {
    const events = ['order.statusChanged', 'wallet.balanceUpdated', 'delivery.locationUpdated', 'promotion.flashSaleStarted'];
    const listeners = events.map((event) => [event, (data) => this.heard.push({ event, data })]);
    for (const [event, listener] of listeners) this.socket.on(event, listener);
    if (this.order) this.socket.emit('order:subscribe', this.order, (answer) => (this.subscribed += answer.ok ? 1 : 0));
    this.effects += 1;
    this.cleanup = () => {
      for (const [event, listener] of listeners) this.socket.off(event, listener);
    };
  }

  of(event) {
    return this.heard.filter((one) => one.event === event).map(({ data }) => data);
  }
}

describe('an app written the usual way', { timeout: 120_000 }, () => {
  let log;
  let bridge;
  const apps = [];
  const app = (...args) => apps[apps.push(new App(bridge.url, ...args)) - 1];

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start(log.environment);
  });
  after(async () => {
    apps.forEach(({ socket }) => socket.close());
    await bridge?.end();
    await log?.end();
  });

  const pay = (user, order) => log.append({
    type: 'wallet.balanceUpdated', key: user, partition: 1,
    text: example('wallet.balanceUpdated', { usr_52190: user, ord_8f2c41d7: order }),
  });

  test('hears what was produced in the milliseconds after its connection, before it had listeners', async () => {
    await pay(unique('usr'), 'warm'); // the producer's first request takes longer
    const started = [0, 1, 10, 50, 100, 150].map((renders) => app(unique('usr'), { renders }));
    for (const one of started) {
      one.onState = (connected) => {
        if (!connected) return;
        one.producing = pay(one.user, 'first').then(() => (one.early = one.effects === 0)).then(() => pay(one.user, 'second'));
      };
    }
    await until(() => started.every((one) => one.of('wallet.balanceUpdated').length >= 2), 'both events at every app');
    await Promise.all(started.map((one) => one.producing));
    assert.ok(started.some((one) => one.early), 'a record was on Kafka before an app had its listeners');
    for (const one of started) {
      assert.deepEqual(one.of('wallet.balanceUpdated').map(({ change }) => change.orderId), ['first', 'second'], `after ${one.renders} ms`);
    }
  });

  test('hears its order again after each reconnection, and what comes right after it', async () => {
    const user = unique('usr');
    const order = unique('ord');
    await log.example('order.created', { ord_8f2c41d7: order, usr_52190: user }, { key: order });
    const one = app(user, { order, renders: 80 });
    for (const round of [1, 2, 3]) {
      await until(() => one.subscribed === round, `subscription ${round}`);
      await upgraded(one.socket);
      await log.example('delivery.locationUpdated', { ord_8f2c41d7: order, '15 minutes': `${round} minutes` });
      await until(() => one.of('delivery.locationUpdated').length === round, `place ${round}`);
      if (round === 3) break;
      // The network goes; by the time the app is back, something has just happened.
      const back = new Promise((resolve) => (one.onState = (connected) => connected && resolve(pay(user, `after-${round}`))));
      one.socket.io.engine.close();
      await back;
      await until(() => one.of('wallet.balanceUpdated').length === round, `the first event after reconnection ${round}`);
    }
    assert.deepEqual(one.of('delivery.locationUpdated').map((place) => place.estimatedArrival), ['1 minutes', '2 minutes', '3 minutes']);
    assert.deepEqual(one.of('wallet.balanceUpdated').map(({ change }) => change.orderId), ['after-1', 'after-2']);
    assert.equal(one.effects, 3);
  });

  test('hears about an order that it has just placed, though it asks for it before its record is there', async () => {
    const user = unique('usr');
    const order = unique('ord');
    const one = app(user, { order });
    await until(() => one.effects === 1, 'the subscription was sent');
    await log.example('order.created', { ord_8f2c41d7: order, usr_52190: user }, { key: order });
    await until(() => one.subscribed === 1, 'the subscription is granted');
    await log.example('delivery.locationUpdated', { ord_8f2c41d7: order });
    await until(() => one.of('delivery.locationUpdated').length === 1, 'the place');
  });
});
