// The demo as somebody meets it: the page in a browser, and the measured run without one.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import readline from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { bin } from './support/env.mjs';
import { until } from './support/until.mjs';

/** A port that nothing listens on now. */
async function freePort() {
  const server = net.createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs the demo; its output by lines. */
function demo(...args) {
  const child = spawn(bin(), ['demo', ...args], { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = [];
  const errors = [];
  readline.createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  readline.createInterface({ input: child.stderr }).on('line', (line) => errors.push(line));
  const kill = () => child.kill('SIGKILL');
  process.on('exit', kill);
  const closed = once(child, 'close').then(([code, signal]) => {
    process.off('exit', kill);
    return code ?? signal;
  });
  return { child, lines, errors, closed };
}

describe('the demo', { timeout: 150_000, concurrency: true }, () => {
  test('a run of 20 seconds without a browser ends well, and its last line says that nothing was lost or misrouted', async () => {
    const began = performance.now();
    const { lines, errors, closed } = demo('--seconds', '20', '--json');
    assert.equal(await closed, 0, errors.join('\n'));
    const verdict = JSON.parse(lines.at(-1));
    for (const key of ['delivered', 'expected', 'lost', 'misrouted', 'p99_ms']) assert.equal(typeof verdict[key], 'number', key);
    assert.equal(verdict.lost, 0);
    assert.equal(verdict.misrouted, 0);
    assert.equal(verdict.delivered, verdict.expected);
    assert.ok(verdict.expected > 500, `${verdict.expected} events`);
    assert.ok(verdict.p99_ms > 0);
    assert.ok(performance.now() - began < 60_000);
  });

  describe('its page in a browser', { timeout: 120_000, concurrency: false }, () => {
    let running;
    let browser;
    let page;
    const complaints = [];

    before(async () => {
      const port = await freePort();
      running = demo('--port', String(port));
      const url = await until(() => running.lines.join('\n').match(/http:\/\/\S+/)?.[0], () => `the address: ${running.errors.join('\n')}`, 60);
      // As root in a container Chromium has no sandbox; the page is ours.
      browser = await chromium.launch({
        executablePath: process.env.RTMN_CHROMIUM ?? '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
      });
      page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
      page.on('pageerror', (error) => complaints.push(String(error)));
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      page.on('request', (request) => new URL(request.url()).port !== String(port) && complaints.push(`asks elsewhere: ${request.url()}`));
      await page.goto(url);
    });
    after(async () => {
      await browser?.close();
      running?.child.kill('SIGKILL');
    });

    const text = (selector) => page.locator(selector).textContent();
    const numbers = (selector) => page.locator(selector).allTextContents().then((all) => all.map((one) => parseInt(one, 10)));

    test('all five panels are connected over WebSocket', async () => {
      await until(async () => (await page.locator('.conn[data-state=live]').count()) === 5, 'five live connections');
      assert.equal(await page.locator('.conn').count(), 5);
      await until(async () => (await page.locator('.conn').allTextContents()).every((one) => /WebSocket/.test(one)), 'the upgrades');
    });

    test('events arrive, and each panel shows its own', async () => {
      await until(async () => Number((await text('#v-total')).replace(/\D/g, '')) > 20, 'twenty events');
      await until(async () => (await page.locator('#m-orders li[data-order]').count()) > 0, 'an order at the merchant');
      await until(async () => (await text('#a-orders')) !== '–' && (await page.locator('#a-ticker li:not(.empty)').count()) > 0, 'figures');
      await until(async () => (await text('#w-total')) !== '–', 'the wallet', 60);
    });

    test('the order makes progress on the map', async () => {
      await until(async () => (await page.locator('#steps li.now, #steps li.done').count()) > 0, 'a step', 60);
      await until(async () => (await page.locator('#rider:not([hidden])').count()) > 0, 'the courier', 90);
      const places = async () => (await page.locator('#trail').getAttribute('points')).split(' ').length;
      const before = await places();
      await until(async () => (await places()) > before || (await text('#t-eta')) === 'Delivered', 'the courier moves');
    });

    test('the stock of the sale falls', async () => {
      const lefts = '#s-stock li b';
      const total = async () => (await numbers(lefts)).reduce((sum, n) => sum + (n || 0), 0);
      await until(async () => (await total()) > 0, 'a stock', 60);
      let before = await total();
      await until(async () => {
        const left = await total();
        const fell = left < before;
        before = Math.max(left, fell ? 0 : before);
        return fell;
      }, 'it falls', 60);
    });

    test('a panel that is switched off and on again is live again, and the page complains of nothing', async () => {
      const wallet = page.locator('[data-conn=wallet]');
      await wallet.click();
      await until(async () => (await wallet.getAttribute('data-state')) === 'bad', 'it is off');
      await wallet.click();
      await until(async () => (await wallet.getAttribute('data-state')) === 'live', 'it is on');
      if (process.env.RTMN_SCREENSHOT) await page.screenshot({ path: process.env.RTMN_SCREENSHOT });
      assert.deepEqual(complaints, []);
    });

    test('Ctrl-C ends it with 0', async () => {
      running.child.kill('SIGINT');
      assert.equal(await running.closed, 0, running.errors.join('\n'));
    });
  });
});
