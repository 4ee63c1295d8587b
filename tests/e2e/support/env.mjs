// What scripts/test hands to the suites. What is missing is an error: no test is skipped for want of a server.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const repo = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');

/** A variable that scripts/test sets. */
export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run the suites by scripts/test`);
  return value;
}

/** The bridge's binary. */
export const bin = () => required('RTMN_BIN');

/** host:port of the shared Kafka broker. */
export const kafka = () => required('RTMN_TEST_KAFKA');

/** host:port of the shared schema registry; its Confluent API is below /apis/ccompat/v7. */
export const registry = () => required('RTMN_TEST_REGISTRY');

/** host:port of the shared Redis. */
export const redis = () => required('RTMN_TEST_REDIS');
