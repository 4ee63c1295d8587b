// A client whose process stands still (SIGSTOP: a suspended phone, a debugger) while events for it go on: it is cut, and
// the others notice nothing.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { Bridge, token } from './support/bridge.mjs';
import { connect, heard, hears } from './support/client.mjs';
import { example, Log, unique } from './support/log.mjs';
import { until } from './support/until.mjs';

const CLIENT = `
  import { io } from 'socket.io-client';
  const [url, token, transport] = process.argv.slice(1);
  const socket = io(url, { auth: { token }, transports: [transport], reconnection: false });
  socket.on('connect', () => console.log('connected'));
`;

describe('a client that stands still', { timeout: 120_000 }, () => {
  let log;
  let bridge;
  const processes = [];

  before(async () => {
    log = await Log.create();
    bridge = await Bridge.start({
      ...log.environment,
      RTMN__SOCKET__PING_INTERVAL: '1s',
      RTMN__SOCKET__PING_TIMEOUT: '2s',
      RTMN__SOCKET__WRITE_DEADLINE: '3s',
    });
  });
  after(async () => {
    processes.forEach((child) => child.kill('SIGKILL'));
    await bridge?.end();
    await log?.end();
  });

  for (const transport of ['websocket', 'polling']) {
    test(`is cut on ${transport}, and the others get everything at once`, async () => {
      const user = unique('usr');
      const stopped = unique('usr');
      const witness = await connect(bridge.url, token(user));
      const child = spawn(process.execPath, ['--input-type=module', '-e', CLIENT, bridge.url, token(stopped), transport],
        { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
      processes.push(child);
      await once(child.stdout, 'data');
      child.kill('SIGSTOP');

      const gone = () => bridge.events('socket.disconnected').find((line) => line.user === stopped);
      let sent = 0;
      let slowest = 0;
      // Its events pile up while the witness's come and go, until it is cut.
      await until(async () => {
        sent += 1;
        const one = (id) => ({ type: 'wallet.balanceUpdated', key: id, text: example('wallet.balanceUpdated', { usr_52190: id, ord_8f2c41d7: `n${sent}` }) });
        await log.append(...Array.from({ length: 50 }, () => one(stopped)), one(user));
        const began = Date.now();
        await hears(witness, 'wallet.balanceUpdated', sent);
        slowest = Math.max(slowest, Date.now() - began);
        return gone();
      }, 'the stopped client is cut', 30);

      assert.ok(['ping_timeout', 'write_deadline', 'behind'].includes(gone().reason), gone().reason);
      assert.deepEqual(heard(witness, 'wallet.balanceUpdated').map(({ change }) => change.orderId), Array.from({ length: sent }, (_, n) => `n${n + 1}`));
      assert.ok(slowest < 2000, `the witness waited ${slowest} ms`);
      assert.equal(witness.said.length, 0);
      witness.close();
    });
  }
});
