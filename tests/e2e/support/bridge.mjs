// A bridge node as a process of its own, and tokens for it.
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import readline from 'node:readline';
import { bin } from './env.mjs';
import { until } from './until.mjs';

export const SECRET = 'a secret of the tests, long enough for HS256';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const now = () => Math.floor(Date.now() / 1000);

/** A signed token; `claims` over a customer's that is good for an hour. */
export function token(sub, claims = {}, secret = SECRET) {
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, role: 'customer', iat: now(), exp: now() + 3600, ...claims })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

export const merchantToken = (sub, ...merchants) => token(sub, { role: 'merchant_owner', merchant_ids: merchants });
export const adminToken = (sub) => token(sub, { role: 'admin' });
/** `exp` of a token that runs out in so many seconds. */
export const inSeconds = (seconds) => ({ exp: now() + seconds });

export class Bridge {
  /** Starts `serve` on a free port; ready when it resolves. */
  static async start(environment, listen = '127.0.0.1:0') {
    const bridge = new Bridge(environment, listen);
    await until(() => bridge.failure || bridge.logged('node.filled'), () => `the bridge lets clients in: ${bridge.stderr}`, 60);
    if (bridge.failure) throw bridge.failure;
    return bridge;
  }

  constructor(environment, listen) {
    this.lines = [];
    const env = {
      PATH: process.env.PATH,
      JWT_SECRET: SECRET,
      RTMN__SERVER__LISTEN: listen,
      RTMN__ADMIN__LISTEN: '127.0.0.1:0',
      RTMN__LOG__JSON: 'true',
      RTMN__LOG__FILTER: 'info,rtmn_bridge=trace',
      ...environment,
    };
    this.child = spawn(bin(), ['serve'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    readline.createInterface({ input: this.child.stderr }).on('line', (line) => this.lines.push(line));
    this.exited = once(this.child, 'exit').then(([code, signal]) => {
      this.failure ??= new Error(`the bridge ended (${code ?? signal}):\n${this.stderr}`);
      return code ?? signal;
    });
    this.onExit = () => this.child.kill('SIGKILL');
    process.on('exit', this.onExit);
  }

  /** All that it has logged. */
  get stderr() {
    return this.lines.join('\n');
  }

  /** The log lines of that event. */
  events(event) {
    return this.lines.filter((line) => line.includes(`"${event}"`)).map((line) => JSON.parse(line)).filter((line) => line.event === event);
  }

  logged(event) {
    return this.events(event).length > 0;
  }

  get address() {
    return this.events('node.started')[0].public;
  }

  get url() {
    return `http://${this.address}`;
  }

  async metrics() {
    return (await fetch(`http://${this.events('node.started')[0].admin}/metrics`)).text();
  }

  /** Sum of a metric over its labels. */
  async metric(name) {
    const samples = [...(await this.metrics()).matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'gm'))];
    return samples.reduce((sum, [, value]) => sum + Number(value), 0);
  }

  /** SIGTERM; the exit code. */
  async terminate() {
    this.child.kill('SIGTERM');
    return this.exited;
  }

  async end() {
    this.child.kill('SIGKILL');
    await this.exited;
    process.off('exit', this.onExit);
  }
}
