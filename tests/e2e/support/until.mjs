// Waiting for a condition, with a deadline.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';

/** Waits until `condition` holds and returns what it gave; `what` may be a function, asked when it fails. */
export async function until(condition, what, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const result = await condition();
    if (result) return result;
    assert.ok(Date.now() < end, `not within ${seconds} s: ${typeof what === 'function' ? what() : what}`);
    await pause(10);
  }
}
