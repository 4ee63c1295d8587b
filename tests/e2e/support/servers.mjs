// Servers of a test's own, by scripts/servers. None survives this process: the scripts watch it (--owner).
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { repo } from './env.mjs';

const run = promisify(execFile);

export class Server {
  /** Starts `scripts/servers/NAME` in a folder of its own; ready when it resolves. */
  static async start(name, ...options) {
    const dir = await fs.mkdtemp(path.join(os.tmpdir(), `rtmn-${name}-`));
    const server = new Server(path.join(repo, 'scripts/servers', name), dir);
    await server.run('start', '--owner', String(process.pid), ...options);
    server.port = Number(await fs.readFile(path.join(dir, 'port'), 'utf8'));
    return server;
  }

  constructor(script, dir) {
    this.script = script;
    this.dir = dir;
  }

  /** start, stop, restart, kill, pause, resume. */
  async run(verb, ...options) {
    await run(this.script, [verb, '--dir', this.dir, ...options]);
  }

  /** Kills it and removes its folder. */
  async end() {
    await this.run('kill');
    await fs.rm(this.dir, { recursive: true, force: true });
  }
}

/** nginx with config/nginx.conf before these two nodes (`host:port`). */
export const nginx = (node1, node2) =>
  Server.start('nginx', '--conf', path.join(repo, 'config/nginx.conf'),
    '--set', `RTMN_NODE_1=${node1}`, '--set', `RTMN_NODE_2=${node2}`);
