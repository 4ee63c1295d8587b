// Every row of the event catalogue: a record on Kafka becomes exactly these events, with these fields, at these clients,
// and nothing anywhere else.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { adminToken, Bridge, merchantToken, token } from './support/bridge.mjs';
import { ask, connect, heard, hears } from './support/client.mjs';
import { example, Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

const ORDER_NUMBER = 'RZ-20261123-0417';
const PARTNER = { name: 'Arjun', phone: '+919900112233' };

describe('the event catalogue', { timeout: 120_000 }, () => {
  let log;
  let bridge;
  let id; // the ids of one test
  let all; // its clients by name

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start({ ...log.environment, RTMN__DASHBOARD__INTERVAL: '500ms', RTMN__SOCKET__SETTLE: '10ms' });
  });
  after(async () => {
    await bridge?.end();
    await log?.end();
  });

  beforeEach(async () => {
    id = { order: unique('ord'), user: unique('usr'), merchant: unique('mer'), partner: unique('dlv'), sale: unique('s') };
    const tokens = {
      customer: token(id.user),
      merchant: merchantToken(unique('owner'), id.merchant),
      admin: adminToken(unique('admin')),
      partner: token(id.partner, { role: 'delivery_partner' }),
      otherCustomer: token(unique('usr')),
      otherMerchant: merchantToken(unique('owner'), unique('mer')),
    };
    const clients = await Promise.all(Object.values(tokens).map((one) => connect(bridge.url, one, { transports: ['websocket'] })));
    all = Object.fromEntries(Object.keys(tokens).map((name, n) => [name, clients[n]]));
  });
  afterEach(() => Object.values(all).forEach((socket) => socket.close()));

  const ids = () => ({ ord_8f2c41d7: id.order, usr_52190: id.user, mer_1042: id.merchant });
  const partnered = () => ({ ord_8f2c41d7: id.order, dlv_77: id.partner });

  /** Appends the record; what each client has heard of it, without the figures, which come by the clock. The end is a
   * sale, which everyone hears, right behind it in its partition: routes go by type, whatever the topic. */
  async function settled(name, replaced) {
    const ends = unique('sale');
    await log.append(
      { type: name.replace('.minimal', ''), text: example(name, replaced) },
      { type: 'promotion.flashSaleStarted', text: example('promotion.flashSaleStarted', { flash_sale_123: ends }), topic: name.split('.')[0] },
    );
    const ended = ({ data }) => data?.id === ends;
    await Promise.all(Object.entries(all).map(([who, socket]) => until(() => socket.heard.some(ended), `the end at ${who}`)));
    const events = {};
    for (const [name, socket] of Object.entries(all)) {
      events[name] = socket.heard
        .filter(({ event, data }) => event !== 'dashboard.stats' && data.id !== ends)
        .map(({ event, data, args }) => {
          assert.equal(args.length, 2, event);
          assert.match(args[1], /^[\w-]+[~.][\w~.-]+$/, `${event} ends in a position`);
          return [event, data];
        });
    }
    return events;
  }

  const nobody = { customer: [], merchant: [], admin: [], partner: [], otherCustomer: [], otherMerchant: [] };
  const rawOf = (socket, event) => socket.raw.find((text) => text.startsWith(`2["${event}"`));

  test('an order goes to its merchant, with a sound, and to the admins, without the full name and the lines', async () => {
    assert.deepEqual(await settled('order.created', { ...ids(), '"Priya"': '"Priya Raman Iyer"' }), {
      ...nobody,
      merchant: [
        ['order.created', {
          orderId: id.order, orderNumber: ORDER_NUMBER, customer: { name: 'Priya', phone: '+919812345678' },
          items: 2, total: 1250.5, type: 'delivery', createdAt: '2026-11-23T09:30:00.000Z',
        }],
        ['notification.sound', { type: 'new_order' }],
      ],
      admin: [['dashboard.newOrder', {
        orderId: id.order, orderNumber: ORDER_NUMBER, amount: 1250.5, merchant: { id: id.merchant, name: 'Café Añil' },
        timestamp: '2026-11-23T09:30:00.000Z',
      }]],
    });
    assert.match(rawOf(all.merchant, 'order.created'), /"total":1250\.50[,}]/);
    assert.match(rawOf(all.admin, 'dashboard.newOrder'), /"amount":1250\.50[,}]/);
  });

  test('a change of an order goes to its customer and its room in full, to its merchant narrowly, to each once', async () => {
    // The partner is named by the record; the merchant and the customer follow the order as well.
    await log.example('order.statusChanged', { ...ids(), dlv_77: id.partner });
    await Promise.all([hears(all.customer, 'order.statusChanged'), hears(all.merchant, 'order.statusChanged')]);
    for (const name of ['customer', 'merchant', 'partner', 'admin']) {
      assert.deepEqual(await ask(all[name], 'order:subscribe', id.order), { ok: true }, name);
      all[name].heard.length = 0;
    }
    const full = {
      orderId: id.order, orderNumber: ORDER_NUMBER, status: 'out_for_delivery', previousStatus: 'ready',
      timestamp: '2026-11-23T09:52:14.318Z', metadata: { estimatedDelivery: '2026-11-23T10:10:00.000Z', deliveryPartner: PARTNER },
    };
    assert.deepEqual(await settled('order.statusChanged', { ...ids(), dlv_77: id.partner }), {
      ...nobody,
      customer: [['order.statusChanged', full]],
      partner: [['order.statusChanged', full]],
      admin: [['order.statusChanged', full]],
      merchant: [['order.statusChanged', { orderId: id.order, status: 'out_for_delivery' }]],
    });
  });

  test('what a change of an order does not say is left out', async () => {
    const events = await settled('order.statusChanged.minimal', ids());
    assert.deepEqual(events.customer, [['order.statusChanged', {
      orderId: id.order, orderNumber: ORDER_NUMBER, status: 'placed', timestamp: '2026-11-23T09:30:00.000Z',
    }]]);
  });

  test('a wallet is its owner’s, with every digit', async () => {
    const balances = '"balances":{"rezCoins":1250.50,"brandedCoins":300.00,"promoCoins":75.25,"total":1625.75}';
    assert.deepEqual(await settled('wallet.balanceUpdated', { usr_52190: id.user, ord_8f2c41d7: id.order }), {
      ...nobody,
      customer: [['wallet.balanceUpdated', {
        balances: { rezCoins: 1250.5, brandedCoins: 300, promoCoins: 75.25, total: 1625.75 },
        change: { amount: 62.53, type: 'rez_coins', operation: 'credit', reason: 'purchase_cashback', orderId: id.order },
        timestamp: '2026-11-23T10:14:09.002Z',
      }]],
    });
    assert.ok(rawOf(all.customer, 'wallet.balanceUpdated').replace(/[ \n]/g, '').includes(balances));
  });

  test('coins that expire are told to their owner', async () => {
    assert.deepEqual(await settled('wallet.coinsExpiring', { usr_52190: id.user }), {
      ...nobody,
      customer: [['wallet.coinsExpiring', {
        amount: 75.25, coinType: 'promo_coins', expiresAt: '2026-11-30T18:29:59.999Z', daysRemaining: 7,
      }]],
    });
  });

  test('where the courier is goes to the followers of the order only', async () => {
    await log.example('order.created', ids());
    await hears(all.merchant, 'order.created');
    assert.deepEqual(await ask(all.merchant, 'order:subscribe', { orderId: id.order }), { ok: true });
    assert.deepEqual(await ask(all.customer, 'join', `order:${id.order}`), { ok: true });
    Object.values(all).forEach((socket) => (socket.heard.length = 0));
    const place = {
      orderId: id.order, location: { latitude: 12.971599, longitude: 77.594566 }, deliveryPartner: PARTNER,
      estimatedArrival: '15 minutes', distanceRemaining: 3.4, timestamp: '2026-11-23T09:56:40.120Z',
    };
    assert.deepEqual(await settled('delivery.locationUpdated', partnered()), {
      ...nobody,
      customer: [['delivery.locationUpdated', place]],
      merchant: [['delivery.locationUpdated', place]],
    });
  });

  test('an arrival is told to the customer', async () => {
    assert.deepEqual(await settled('delivery.arrived', { ...partnered(), usr_52190: id.user }), {
      ...nobody,
      customer: [['delivery.arrived', {
        orderId: id.order, orderNumber: ORDER_NUMBER, deliveryPartner: PARTNER,
        message: `Arjun is at your door with order ${ORDER_NUMBER}`, timestamp: '2026-11-23T10:09:31.774Z',
      }]],
    });
  });

  test('a flash sale is told to everyone', async () => {
    const sale = {
      id: `flash_sale_${id.sale}`, title: 'Festival flash sale', description: '“Two hours only”: 40 % off all sweets 🍬',
      discount: 40, category: 'sweets', endsAt: '2026-11-23T12:00:00.000Z',
      imageUrl: `https://img.example.com/sales/flash_sale_${id.sale}.webp`,
    };
    const events = await settled('promotion.flashSaleStarted', { flash_sale_123: `flash_sale_${id.sale}` });
    for (const [name, got] of Object.entries(events)) assert.deepEqual(got, [['promotion.flashSaleStarted', sale]], name);
  });

  test('the stock of a sale goes to those who follow it, however they name its room', async () => {
    assert.deepEqual(await ask(all.customer, 'join', `flash_sale:${id.sale}`), { ok: true });
    assert.deepEqual(await ask(all.otherMerchant, 'join', { room: `flash_sale:flash_sale_${id.sale}` }), { ok: true });
    const stock = { productId: 'prd_kaju_katli', stockRemaining: 37, totalStock: 120, percentageRemaining: 30.83 };
    assert.deepEqual(await settled('promotion.stockUpdate', { flash_sale_123: `flash_sale_${id.sale}` }), {
      ...nobody,
      customer: [['promotion.stockUpdate', stock]],
      otherMerchant: [['promotion.stockUpdate', stock]],
    });
  });

  test('the figures of the day reach the admins alone, and follow what is ordered', async () => {
    const before = (await hears(all.admin, 'dashboard.stats', 1)).at(-1);
    assert.deepEqual(Object.keys(before), ['todayOrders', 'todayRevenue', 'activeUsers', 'activeMerchants', 'timestamp']);
    assert.equal(before.activeUsers, 6);
    assert.equal(before.activeMerchants, 2);
    const today = new Date().toISOString();
    const count = heard(all.admin, 'dashboard.stats').length;
    await log.example('order.created', { ...ids(), '2026-11-23T09:30:00.000Z': today });
    await hears(all.admin, 'dashboard.newOrder');
    const after = (await hears(all.admin, 'dashboard.stats', heard(all.admin, 'dashboard.stats').length + 2)).at(-1);
    assert.ok(count > 0);
    assert.equal(after.todayOrders, before.todayOrders + 1);
    assert.equal((after.todayRevenue - before.todayRevenue).toFixed(2), '1250.50');
    assert.match(all.admin.raw.findLast((text) => text.startsWith('2["dashboard.stats"')), /"todayRevenue":\d+\.\d\d,/);
    for (const [name, socket] of Object.entries(all)) {
      if (name !== 'admin') assert.deepEqual(heard(socket, 'dashboard.stats'), [], name);
    }
  });
});
