// Stock clients that remember what they heard, as values and as the bytes that came over the wire.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { until } from './until.mjs';

export const TRANSPORTS = { default: undefined, websocket: ['websocket'], polling: ['polling'] };

/** A stock client, connecting. Use `connect` unless it is to be refused. */
export function client(url, auth, options = {}) {
  const socket = io(url, { auth, forceNew: true, reconnectionDelay: 200, reconnectionDelayMax: 500, ...options });
  socket.heard = [];
  socket.raw = [];
  socket.said = [];
  socket.onAny((event, ...args) => socket.heard.push({ event, data: args[0], args }));
  socket.on('connect_error', (error) => socket.said.push(error.message));
  // What the engine hands up, whichever transport it came by.
  socket.io.on('open', () => socket.io.engine.on('packet', ({ type, data }) => type === 'message' && socket.raw.push(data)));
  return socket;
}

/** A connected client. */
export async function connect(url, token, options) {
  const socket = client(url, { token }, options);
  await until(() => socket.connected || socket.said.length, 'the client is connected');
  assert.deepEqual(socket.said, []);
  return socket;
}

/** What it heard under that name. */
export const heard = (socket, event) => socket.heard.filter((one) => one.event === event).map(({ data }) => data);

/** Waits until it has heard so many of that event. */
export const hears = (socket, event, count = 1, seconds = 20) =>
  until(() => heard(socket, event).length >= count && heard(socket, event),
    () => `${count} ${event}, heard are ${socket.heard.map((one) => one.event)}`, seconds);

/** Sends an event and waits for its ack. */
export const ask = (socket, event, ...args) => socket.timeout(10_000).emitWithAck(event, ...args);

export const upgraded = (socket) => until(() => socket.io.engine?.transport.name === 'websocket', 'the upgrade');
