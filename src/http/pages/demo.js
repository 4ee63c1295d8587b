// The demo page: five panels, each a stock socket.io-client with its own token. Whatever comes from the wire is shown
// by textContent only.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const el = document.createElement(tag);
    if (className) el.className = className;
    if (text !== undefined) el.textContent = text;
    return el;
  };
  const svg = (tag, attributes) => {
    const el = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
    return el;
  };
  const rupees = new Intl.NumberFormat('en-IN', { style: 'currency', currency: 'INR' });
  const rounded = new Intl.NumberFormat('en-IN', { style: 'currency', currency: 'INR', maximumFractionDigits: 0 });
  const count = new Intl.NumberFormat('en-IN');
  const coins = new Intl.NumberFormat('en-IN', { minimumFractionDigits: 2 }).format;
  const words = (name) => { const text = String(name).replaceAll('_', ' '); return text.charAt(0).toUpperCase() + text.slice(1); };
  const prepend = (list, item, most) => {
    list.querySelector('.empty')?.remove();
    list.prepend(item);
    while (list.children.length > most) list.lastElementChild.remove();
  };
  const again = (el, name) => { el.classList.remove(name); void el.getBoundingClientRect(); el.classList.add(name); };

  // --- tokens: fetched anew for every connection, since one may come back after its token has expired
  const load = async () => {
    const answer = await fetch('/demo/tokens.json', { cache: 'no-store' });
    if (!answer.ok) throw new Error(`tokens: HTTP ${answer.status}`);
    return answer.json();
  };

  // --- the page's own traffic
  const vitals = { total: 0, recent: [], delays: [] };
  const noteEvent = (panel, event, args) => {
    const now = Date.now();
    vitals.total += 1;
    vitals.recent.push(now);
    const data = args[0];
    const position = typeof args.at(-1) === 'string' ? args.at(-1) : '';
    const told = data && typeof data === 'object' ? Date.parse(data.timestamp ?? data.createdAt) : NaN;
    // A snapshot tells an older state: its age is no delay.
    const delay = now - told < 5000 ? Math.max(0, now - told) : NaN;
    if (!Number.isNaN(delay)) {
      vitals.delays.push(delay);
      if (vitals.delays.length > 200) vitals.delays.shift();
    }
    if (!$('stream').open) return;
    const row = make('tr');
    const time = new Date(now).toISOString().slice(11, 23);
    row.append(make('td', 'mono muted', time), make('td', '', panel), make('td', 'strong', event),
      make('td', 'num', Number.isNaN(delay) ? '–' : `${delay} ms`), make('td', 'mono muted', position.split('.')[0]));
    const rows = $('x-rows');
    rows.prepend(row);
    while (rows.children.length > 60) rows.lastElementChild.remove();
  };
  setInterval(() => {
    const since = Date.now() - 5000;
    while (vitals.recent.length && vitals.recent[0] < since) vitals.recent.shift();
    const sorted = [...vitals.delays].sort((a, b) => a - b);
    $('v-rate').textContent = (vitals.recent.length / 5).toFixed(1);
    $('v-delay').textContent = sorted.length ? `${sorted[sorted.length >> 1]} ms` : '–';
    $('v-total').textContent = count.format(vitals.total);
  }, 500);

  // --- one panel, one connection
  const connect = (name, address, who, handlers, onConnect) => {
    const button = document.querySelector(`[data-conn="${name}"]`);
    const show = (state, text) => {
      button.dataset.state = state;
      button.textContent = text;
      button.setAttribute('aria-label', `${words(name)} connection: ${text}. ${state === 'live' ? 'Disconnect' : 'Connect'}`);
    };
    const socket = io(address, {
      forceNew: true,
      auth: (give) => load().then((tokens) => give({ token: tokens[who].token }), () => give({})),
    });
    const live = () => show('live', socket.io.engine?.transport.name === 'websocket' ? 'Live · WebSocket' : 'Live · polling');
    show('wait', 'Connecting');
    socket.on('connect', () => {
      live();
      socket.io.engine.once('upgrade', live);
      onConnect?.(socket);
    });
    socket.on('disconnect', (reason) => show(socket.active ? 'wait' : 'bad', socket.active ? 'Reconnecting' : reason === 'io client disconnect' ? 'Disconnected' : 'Closed by server'));
    socket.on('connect_error', (error) => {
      show(socket.active ? 'wait' : 'bad', socket.active ? 'Reconnecting' : error.message);
    });
    for (const [event, handle] of Object.entries(handlers)) socket.on(event, handle);
    socket.onAny((event, ...args) => noteEvent(name, event, args));
    button.addEventListener('click', () => {
      if (socket.connected || socket.active) { socket.disconnect(); show('bad', 'Disconnected'); } else { show('wait', 'Connecting'); socket.connect(); }
    });
    return socket;
  };

  // --- the customer's order on the map
  const STEPS = ['placed', 'confirmed', 'processing', 'ready', 'out_for_delivery', 'delivered'];
  const track = (address, tokens) => {
    const { home } = tokens.customer;
    const shop = tokens.merchant.place;
    const squeeze = Math.cos((home[0] * Math.PI) / 180);
    const middle = [(home[0] + shop[0]) / 2, (home[1] + shop[1]) / 2];
    const size = { width: 720, height: 400, scale: 1 };
    const project = ([latitude, longitude]) => [
      size.width / 2 + (longitude - middle[1]) * squeeze * size.scale,
      size.height / 2 - (latitude - middle[0]) * size.scale - 8,
    ].map((value) => Math.round(value * 10) / 10);
    const put = (id, [x, y]) => { $(id).setAttribute('transform', `translate(${x} ${y})`); };
    const move = ([x, y]) => { $('rider').style.transform = `translate(${x}px, ${y}px)`; };
    $('shop-name').textContent = tokens.merchant.name;
    for (let x = 34; x < 720; x += 62) $('streets').append(svg('line', { x1: x, y1: -10, x2: x + 22, y2: 410, 'stroke-width': x % 4 ? 5 : 8 }));
    for (let y = 30; y < 400; y += 54) $('streets').append(svg('line', { x1: -10, y1: y, x2: 730, y2: y + 14, 'stroke-width': y % 4 ? 5 : 8 }));
    // One unit of the map is one pixel, whatever the panel's shape; the way between shop and home always fits.
    const fit = () => {
      const { width, height } = $('map').getBoundingClientRect();
      if (!width || !height) return;
      const span = [Math.abs(home[1] - shop[1]) * squeeze, Math.abs(home[0] - shop[0])];
      const scale = Math.min((width - 190) / Math.max(span[0], 1e-4), (height - 170) / Math.max(span[1], 1e-4));
      Object.assign(size, { width, height, scale });
      $('map').setAttribute('viewBox', `0 0 ${width} ${height}`);
      const cover = Math.max(width / 720, height / 400);
      $('art').setAttribute('transform', `translate(${(width - 720 * cover) / 2} ${(height - 400 * cover) / 2}) scale(${cover})`);
      put('shop', project(shop));
      put('home', project(home));
      $('rider').classList.add('jump');
      if (places.length) move(project(places.at(-1)));
      draw();
    };

    const steps = STEPS.map((status) => { const li = make('li'); li.append(make('span', '', status === 'out_for_delivery' ? 'On its way' : words(status))); $('steps').append(li); return li; });
    let order = null;
    let places = [];
    let toast = 0;

    const draw = () => {
      const points = places.map(project);
      const here = points.at(-1);
      const line = points.map((p) => p.join(',')).join(' ');
      $('trail').setAttribute('points', line);
      $('trail-case').setAttribute('points', line);
      const [hx, hy] = project(home);
      $('ahead').setAttribute('points', here ? `${here.join(',')} ${here[0]},${hy} ${hx},${hy}` : '');
    };
    const reset = (number) => {
      places = [];
      draw();
      $('t-number').textContent = number;
      $('t-eta').textContent = '–';
      $('t-distance').textContent = '–';
      $('t-partner').hidden = true;
      $('rider').setAttribute('hidden', '');
      progress(null);
    };
    const progress = (status) => {
      const at = STEPS.indexOf(status);
      steps.forEach((li, i) => {
        li.className = i < at || (i === at && status === 'delivered') ? 'done' : i === at ? 'now' : '';
        if (i === at) li.setAttribute('aria-current', 'step'); else li.removeAttribute('aria-current');
      });
      if (status === 'cancelled' || status === 'refunded') { steps[0].className = 'now off'; }
      if (status === 'delivered') steps[5].classList.add('now');
    };
    const say = (text) => {
      clearTimeout(toast);
      $('t-toast').textContent = text;
      $('t-toast').hidden = false;
      toast = setTimeout(() => { $('t-toast').hidden = true; }, 5000);
    };
    const partner = (person) => {
      if (!person) return;
      $('t-pname').textContent = person.name;
      $('t-phone').textContent = person.phone;
      $('t-initials').textContent = person.name.split(' ').map((part) => part.charAt(0)).join('').slice(0, 2);
      $('t-partner').hidden = false;
    };
    const follow = (socket, id, number) => {
      if (order && order !== id) socket.emit('order:unsubscribe', order);
      if (order !== id) reset(number ?? '…');
      order = id;
      socket.emit('order:subscribe', id, (answer) => { if (!answer?.ok && order === id) say('This order cannot be followed.'); });
    };

    new ResizeObserver(fit).observe($('map'));

    const socket = connect('track', address, 'customer', {
      'order.statusChanged': (change) => {
        if (change.orderId !== order) follow(socket, change.orderId, change.orderNumber);
        $('t-number').textContent = change.orderNumber;
        progress(change.status);
        partner(change.metadata?.deliveryPartner);
        if (change.status === 'delivered') { $('t-eta').textContent = 'Delivered'; $('t-distance').textContent = '–'; $('rider').setAttribute('hidden', ''); }
        else if (change.metadata?.estimatedDelivery && change.status !== 'out_for_delivery') {
          $('t-eta').textContent = `${Math.max(1, Math.round((Date.parse(change.metadata.estimatedDelivery) - Date.now()) / 60000))} minutes`;
        }
      },
      'delivery.locationUpdated': (fix) => {
        if (fix.orderId !== order) return;
        const rider = $('rider');
        const place = [fix.location.latitude, fix.location.longitude];
        if (places.length === 0) places.push(shop);
        places.push(place);
        const first = rider.hasAttribute('hidden');
        rider.classList.toggle('jump', first);
        rider.removeAttribute('hidden');
        move(project(place));
        draw();
        progress('out_for_delivery');
        partner(fix.deliveryPartner);
        $('t-eta').textContent = fix.estimatedArrival;
        $('t-distance').textContent = `${fix.distanceRemaining.toFixed(1)} km`;
      },
      'delivery.arrived': (arrival) => { $('t-eta').textContent = 'At the door'; $('t-distance').textContent = '0.0 km'; say(arrival.message); },
    }, (connected) => {
      if (order) follow(connected, order);
      else if (tokens.customer.orderId) follow(connected, tokens.customer.orderId);
    });
  };

  // --- the wallet
  const wallet = (address) => {
    let before = null;
    connect('wallet', address, 'customer', {
      'wallet.balanceUpdated': ({ balances, change }) => {
        const total = $('w-total');
        total.textContent = coins(balances.total);
        if (before !== null) {
          const way = balances.total >= before ? 'up' : 'down';
          total.classList.remove('up', 'down');
          again(total, way);
          setTimeout(() => total.classList.remove(way), 500);
        }
        before = balances.total;
        const parts = [['rez', balances.rezCoins], ['branded', balances.brandedCoins], ['promo', balances.promoCoins]];
        for (const [kind, value] of parts) {
          $(`w-${kind}`).textContent = coins(value);
          $('w-bar').querySelector(`.${kind}`).style.flexGrow = value;
        }
        const li = make('li');
        const credit = change.operation === 'credit';
        li.append(make('span', '', words(change.reason)), make('span', `amount ${credit ? 'credit' : 'debit'}`, `${credit ? '+' : '−'}${coins(change.amount)}`),
          make('span', 'sub', words(change.type)), make('span', 'sub amount', new Date().toLocaleTimeString()));
        prepend($('w-changes'), li, 4);
      },
      'wallet.coinsExpiring': (notice) => {
        const days = notice.daysRemaining === 0 ? 'today' : notice.daysRemaining === 1 ? 'tomorrow' : `in ${notice.daysRemaining} days`;
        $('w-expiring').textContent = `${coins(notice.amount)} ${words(notice.coinType).toLowerCase()} expire ${days}`;
        $('w-expiring').hidden = false;
      },
    });
  };

  // --- the flash sale: one at a time, until it is sold out
  const sale = (address, first) => {
    let current = null;
    let next = first;
    let heard = Date.now();
    const stock = new Map();
    const room = (one) => `flash_sale:${one.id}`;
    const follow = (one) => {
      if (current) socket.emit('leave', room(current));
      current = one;
      heard = Date.now();
      stock.clear();
      $('s-stock').replaceChildren();
      $('s-title').textContent = one.title;
      $('s-text').textContent = one.description;
      $('s-discount').textContent = `−${one.discount} %`;
      $('s-discount').hidden = false;
      socket.emit('join', room(one), () => {});
    };
    const over = () => (stock.size > 0 && [...stock.values()].every((left) => left === 0)) || Date.now() - heard > 12000;
    const turn = () => {
      if (next && socket.connected && (!current || over())) { const one = next; next = null; if (one.id !== current?.id) follow(one); }
    };
    const socket = connect('sale', address, 'customer', {
      'promotion.flashSaleStarted': (started) => {
        next = started;
        turn();
        const li = make('li');
        li.append(make('span', '', started.title), make('span', 'amount', `−${started.discount} %`),
          make('span', 'sub', words(started.category)), make('span', 'sub amount', new Date().toLocaleTimeString()));
        prepend($('s-log'), li, 3);
      },
      'promotion.stockUpdate': (update) => {
        heard = Date.now();
        stock.set(update.productId, update.stockRemaining);
        let li = [...$('s-stock').children].find((row) => row.dataset.product === update.productId);
        if (!li) {
          li = make('li');
          li.dataset.product = update.productId;
          const meter = make('div', 'meter');
          meter.append(make('i'));
          li.append(make('span', '', words(update.productId.replace(/^prd_/, ''))), make('b'), meter);
          $('s-stock').append(li);
        }
        li.className = update.stockRemaining === 0 ? 'out' : update.percentageRemaining < 25 ? 'low' : '';
        li.children[1].textContent = update.stockRemaining === 0 ? 'Sold out' : `${update.stockRemaining} of ${update.totalStock} left`;
        li.querySelector('i').style.width = `${Math.max(0, Math.min(100, update.percentageRemaining))}%`;
      },
    }, () => { if (current) { const one = current; current = null; follow(one); } else turn(); });
    setInterval(() => {
      turn();
      const left = current ? Math.max(0, Date.parse(current.endsAt) - Date.now()) : 0;
      $('s-ends').textContent = left ? `Ends in ${Math.floor(left / 60000)}:${String(Math.floor(left / 1000) % 60).padStart(2, '0')}` : '';
    }, 500);
  };

  // --- the merchant's orders
  const merchant = (address) => {
    const chips = { out_for_delivery: 'go', ready: 'go', delivered: 'ok', cancelled: 'off', refunded: 'off' };
    connect('merchant', address, 'merchant', {
      'order.created': (order) => {
        const li = make('li');
        li.dataset.order = order.orderId;
        const items = `${order.items} item${order.items === 1 ? '' : 's'}`;
        li.append(make('span', 'strong', `${order.customer.name} · ${items}`), make('span', 'amount', rupees.format(order.total)),
          make('span', 'sub mono', `${order.orderNumber} · ${words(order.type)}`), make('span', 'chip', 'New'));
        prepend($('m-orders'), li, 6);
      },
      'order.statusChanged': (change) => {
        const li = [...$('m-orders').children].find((row) => row.dataset.order === change.orderId);
        if (!li) return;
        const chip = li.querySelector('.chip');
        chip.textContent = words(change.status);
        chip.className = `chip ${chips[change.status] ?? ''}`;
      },
      'notification.sound': () => again($('bell'), 'ring'),
    });
  };

  // --- the figures
  const admin = (address) => {
    const buckets = new Array(30).fill(0);
    let base = null;
    let seen = 0;
    let paise = 0;
    const bars = buckets.map((_, i) => { const bar = svg('rect', { x: i * 10, width: 7, y: 46, height: 2, rx: 1.5 }); $('a-spark').append(bar); return bar; });
    const draw = () => {
      const most = Math.max(4, ...buckets);
      bars.forEach((bar, i) => { const h = Math.max(2, (buckets[i] / most) * 46); bar.setAttribute('height', h); bar.setAttribute('y', 48 - h); bar.setAttribute('opacity', i === 29 ? 1 : 0.45); });
    };
    // Between two figures from the server the page counts on by itself.
    const figures = () => {
      if (!base) return;
      $('a-orders').textContent = count.format(base.todayOrders + seen);
      $('a-revenue').textContent = rounded.format(base.todayRevenue + paise / 100);
      $('a-users').textContent = count.format(base.activeUsers);
      $('a-merchants').textContent = count.format(base.activeMerchants);
    };
    connect('admin', address, 'admin', {
      'dashboard.stats': (stats) => { [base, seen, paise] = [stats, 0, 0]; figures(); },
      'dashboard.newOrder': (order) => {
        buckets[29] += 1;
        if (base && !(Date.parse(order.timestamp) < Date.parse(base.timestamp))) { seen += 1; paise += Math.round(order.amount * 100); }
        figures();
        draw();
        const li = make('li');
        li.append(make('span', '', order.merchant.name), make('span', 'amount', rupees.format(order.amount)));
        prepend($('a-ticker'), li, 3);
      },
    });
    draw();
    setInterval(() => { buckets.shift(); buckets.push(0); draw(); }, 2000);
    setInterval(() => {
      if (base) $('a-age').textContent = `Figures ${Math.max(0, Math.round((Date.now() - Date.parse(base.timestamp)) / 1000))} s old`;
    }, 1000);
  };

  const start = async () => {
    const tokens = await load();
    const address = tokens.bridge ?? window.location.origin;
    for (const el of document.querySelectorAll('[data-name]')) el.textContent = tokens[el.dataset.name].name;
    track(address, tokens);
    wallet(address);
    sale(address, tokens.sale);
    merchant(address);
    admin(address);
  };
  const begin = () => start().then(() => { $('notice').hidden = true; }, () => {
    $('notice').textContent = 'The demo does not answer. Trying again every two seconds.';
    $('notice').hidden = false;
    setTimeout(begin, 2000);
  });
  begin();
})();
