// Topics of a test's own on the shared broker, and records in them. Records are the examples of schemas/examples with
// other ids, put in as text, so that every digit is the example's.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { kafka, repo } from './env.mjs';

const TOPIC_OF = { order: 'orders', wallet: 'wallet', delivery: 'delivery', promotion: 'promotions' };

/** A short id that no other test uses. */
export const unique = (prefix) => `${prefix}_${randomBytes(6).toString('hex')}`;

/** An example's text with these texts in the place of its ids: `{ ord_8f2c41d7: 'o1' }`. */
export function example(name, replaced = {}) {
  let text = fs.readFileSync(path.join(repo, `schemas/examples/${name}.json`), 'utf8');
  for (const [from, to] of Object.entries(replaced)) {
    if (!text.includes(from)) throw new Error(`the example ${name} has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

export class Log {
  /** Creates the four domain topics under new names. */
  static async create(partitions = 3) {
    const log = new Log(unique('t'));
    await log.admin.connect();
    await log.admin.createTopics({
      waitForLeaders: true,
      topics: log.topics.map((topic) => ({ topic, numPartitions: partitions, replicationFactor: 1 })),
    });
    await log.producer.connect();
    return log;
  }

  constructor(prefix) {
    this.prefix = prefix;
    const client = new Kafka({ clientId: 'rtmn-e2e', brokers: [kafka()], logLevel: logLevel.NOTHING });
    this.admin = client.admin();
    this.producer = client.producer({ idempotent: true, maxInFlightRequests: 1 });
    this.topics = Object.values(TOPIC_OF).map((name) => `${prefix}.${name}`);
  }

  /** What a bridge that follows these topics has in its environment. */
  get environment() {
    return {
      KAFKA_BROKERS: kafka(),
      RTMN__KAFKA__TOPICS: this.topics.join(','),
      RTMN__DASHBOARD__TOPIC: `${this.prefix}.orders`,
    };
  }

  /** Appends records `{type, text, key?, partition?, headers?, topic?}` in this order, in one request per topic. `topic`
   * is the first word of a type; the record's own unless given. */
  async append(...records) {
    const topicMessages = new Map();
    for (const { type, text, key = 'k', partition = 0, headers = {}, topic: domain = type.split('.')[0] } of records) {
      const topic = `${this.prefix}.${TOPIC_OF[domain]}`;
      if (!topicMessages.has(topic)) topicMessages.set(topic, []);
      topicMessages.get(topic).push({ key, partition, value: text, headers: { type, ...headers } });
    }
    await this.producer.sendBatch({
      acks: -1,
      compression: CompressionTypes.None,
      topicMessages: [...topicMessages].map(([topic, messages]) => ({ topic, messages })),
    });
  }

  /** One example as a record. */
  async example(name, replaced, more) {
    await this.append({ type: name.replace('.minimal', ''), text: example(name, replaced), ...more });
  }

  async end() {
    await this.producer.disconnect();
    await this.admin.deleteTopics({ topics: this.topics }).catch(() => {});
    await this.admin.disconnect();
  }
}
