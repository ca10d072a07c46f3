/** A handler whose channel is sent away, as HTTP/2 does by GOAWAY: it moves to another one. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  type Adapter,
  allow,
  type AnyHandler,
  defineAdapter,
  quota,
  Unavailable,
} from '../../../src/adapters/contract.ts';
import { openIsolated } from '../../../src/adapters/isolated/open-isolated.ts';
import type { ChannelEvents, ToHandler } from '../../../src/adapters/isolated/protocol.ts';
import type { OpenHandler } from '../../../src/adapters/open-handler.ts';
import { createPluginMetrics } from '../../../src/adapters/plugin-metrics.ts';
import { createSharedMemory } from '../../../src/adapters/shared-memory.ts';
import { eventually, type LogLine, testCall } from '../../../src/adapters/testing/index.ts';

const ALL: Adapter = defineAdapter({
  name: 'check-all',
  summary: 'For these tests.',
  config: z.strictObject({}),
  serves: { check: { input: { value: 'string' } }, quota: { algorithms: ['fixed'] }, report: { input: 'any' } },
  open: async () => ({
    check: () => () => allow(),
    ...quota({ bucket: () => 1, charge: () => [] }),
    sink: () => 1,
    write: () => undefined,
  }),
});

/** A channel that answers calls only when the test says so. */
class Peer {
  readonly sent: ToHandler[] = [];
  isEnded = false;
  readonly #events: ChannelEvents;

  constructor(events: ChannelEvents) {
    this.#events = events;
  }

  send(messages: readonly ToHandler[]): void {
    this.sent.push(...messages);
    setImmediate(() => {
      for (const message of messages) {
        if (message.kind === 'open') this.#say({ kind: 'opened', has: { reset: false, look: false } });
        if (message.kind === 'prepare') this.#say({ kind: 'prepared', slot: message.slot });
        if (message.kind === 'close') this.#say({ kind: 'closed' });
      }
    });
  }

  end(): void {
    this.isEnded = true;
  }

  sendAway(): void {
    this.#events.leaving();
  }

  breakOff(): void {
    this.#events.gone('the connection broke');
  }

  calls(): ToHandler[] {
    return this.sent.filter((message) => 'call' in message);
  }

  /** Each call once. */
  answer(): void {
    for (const message of this.calls())
      if ('call' in message) {
        const { number } = message.call;
        if (message.kind === 'ask') this.#say({ kind: 'answered', number, answer: allow() });
        else this.#say({ kind: 'answered', number, answer: [{ granted: true, limit: 5, remaining: 4, resetMs: 1 }] });
      }
  }

  #say(message: Parameters<ChannelEvents['received']>[0][number]): void {
    if (!this.isEnded) this.#events.received([message]);
  }
}

interface Opened extends OpenHandler {
  readonly peers: Peer[];
  readonly logged: LogLine[];
  /** Starts a check. */
  readonly ask: () => Promise<unknown>;
}

/** `mayOpen`: of the channels in their order, from 0. */
async function open(mayOpen: (n: number) => Promise<void> = async () => undefined): Promise<Opened> {
  const peers: Peer[] = [];
  const logged: LogLine[] = [];
  const keep =
    (level: LogLine['level']) =>
    (message: string, fields = {}): void =>
      void logged.push({ level, message, fields });
  const log = { debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
  let opens = 0;
  const opened = await openIsolated(
    ALL,
    { name: 'one', config: {}, folder: '/' },
    { log, metrics: createPluginMetrics(log), shared: createSharedMemory(), restartAfterMs: 5, closeWithinMs: 300 },
    'far away',
    async (events) => {
      await mayOpen(opens++);
      const peer = new Peer(events);
      peers.push(peer);
      return peer;
    },
  );
  onTestFinished(() => opened.close());
  const check = (opened.handler as Required<AnyHandler>).check({ rule: 'r', params: undefined });
  await opened.rejected?.();
  return { ...opened, peers, logged, ask: async () => check({ value: 'a' }, testCall(10_000)) };
}

const reached = (peers: readonly Peer[], n: number, calls: number): Promise<void> =>
  eventually(() => expect(peers[n]?.calls()).toHaveLength(calls));

/** The handler is open on another channel, and calls go there. */
async function moved(peers: readonly Peer[], n: number): Promise<void> {
  await eventually(() => expect(peers[n]?.sent.map(({ kind }) => kind).slice(0, 2)).toEqual(['open', 'prepare']));
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a handler whose channel is sent away', () => {
  test('lets running calls end where they began, sends new ones to the new channel, and closes the old one', async () => {
    const { peers, ask, logged, readiness, running } = await open();
    const early = ask();
    await reached(peers, 0, 1);
    peers[0]?.sendAway();
    await moved(peers, 1);
    const late = ask();
    await reached(peers, 1, 1);
    peers[1]?.answer();
    expect(await late).toEqual(allow());
    expect(peers[0]?.calls()).toHaveLength(1);
    expect(peers[0]?.isEnded).toBe(false);
    peers[0]?.answer();
    expect(await early).toEqual(allow());
    await eventually(() => expect(peers[0]?.isEnded).toBe(true));
    expect(peers[0]?.sent.at(-1)?.kind).toBe('close');
    expect([readiness().ready, running?.().restarts, logged]).toEqual([true, 0, []]);
  });

  test('asks a check that is cut off once more, and only once; a report and a charge without a key fail', async () => {
    const { peers, ask, handler } = await open();
    const { bucket, sink, charge, write } = handler as Required<AnyHandler>;
    const rule = { rule: 'q', params: undefined };
    const counted = bucket({ ...rule, counter: 'q', algorithm: 'fixed', perMs: 1000 });
    const spend = { kind: 'spend', bucket: counted, key: 'a', limit: 5, burst: 5, perMs: 1000, cost: 1 } as const;
    const call = testCall(10_000);
    const plain = charge([spend], call);
    const keyed = charge([{ ...spend, idempotencyKey: 'k' }], call);
    const entry = { sink: sink({ ...rule, input: {} }), id: '1', timeMs: 1, input: {} };
    const written = write([entry], call);
    const [first, second] = [ask(), ask()];
    const failed = Promise.allSettled([plain, written]);
    await reached(peers, 0, 5);
    peers[0]?.sendAway();
    await eventually(() => expect(peers[1]?.sent[0]?.kind).toBe('open'));
    peers[0]?.breakOff();
    for (const one of await failed)
      expect(one).toMatchObject({ reason: { name: 'Unavailable', message: 'it ended: the connection broke' } });
    await reached(peers, 1, 3);
    expect(peers[1]?.calls().map(({ kind }) => kind)).toEqual(['charge', 'ask', 'ask']);
    peers[1]?.answer();
    expect(await first).toEqual(allow());
    expect(await second).toEqual(allow());
    expect(await keyed).toMatchObject([{ granted: true }]);
    const third = ask();
    await reached(peers, 1, 4);
    for (const n of [1, 2]) {
      peers[n]?.sendAway();
      await eventually(() => expect(peers[n + 1]?.sent[0]?.kind).toBe('open'));
      if (n === 2) third.catch(() => undefined);
      peers[n]?.breakOff();
      if (n === 1) await reached(peers, 2, 1);
    }
    await expect(third).rejects.toMatchObject({ name: 'Unavailable' });
  });

  test('that breaks off before another one is open: calls wait for it, and fail if it does not come', async () => {
    const admit: { next: (() => void) | undefined } = { next: undefined };
    const go = (): void => admit.next?.();
    const { peers, ask, logged } = await open(async (n) => {
      if (n > 0)
        await new Promise<void>((resolve, reject) => {
          admit.next = n === 1 ? resolve : () => reject(new Unavailable('nothing listens'));
        });
    });
    await new Promise((resolve) => setTimeout(resolve, 600)); // so that it moves at once
    const early = ask();
    await reached(peers, 0, 1);
    peers[0]?.sendAway();
    peers[0]?.breakOff();
    const late = ask();
    await eventually(() => expect(admit.next).toBeDefined());
    go();
    await reached(peers, 1, 2);
    peers[1]?.answer();
    expect([await early, await late]).toEqual([allow(), allow()]);
    expect(logged).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 600));
    admit.next = undefined;
    const lost = ask();
    lost.catch(() => undefined);
    await reached(peers, 1, 3);
    peers[1]?.sendAway();
    peers[1]?.breakOff();
    await eventually(() => expect(admit.next).toBeDefined());
    go();
    await expect(lost).rejects.toMatchObject({ name: 'Unavailable', message: 'it ended: nothing listens' });
    expect(logged).toHaveLength(1);
  });

  test('every time is not moved in a loop, and keeps few channels whose calls are never answered', async () => {
    const { peers, ask, close } = await open();
    const answers: Promise<unknown>[] = [];
    for (let n = 0; n < 9; n++) {
      const answer = ask();
      answer.catch(() => undefined);
      answers.push(answer);
      await eventually(() => expect(peers[n]?.calls().length).toBeGreaterThan(0));
      peers[n]?.sendAway();
      peers[n]?.sendAway();
      await moved(peers, n + 1);
    }
    await eventually(() => expect(peers.filter(({ isEnded }) => !isEnded).length).toBeLessThanOrEqual(5));
    await close();
    expect(peers.every(({ isEnded }) => isEnded)).toBe(true);
    expect(peers).toHaveLength(10);
    const settled = await Promise.allSettled(answers);
    expect(settled.every(({ status }) => status === 'rejected')).toBe(true);
  });

  test('while nothing else can be reached goes on serving', async () => {
    const { peers, ask, logged, readiness } = await open(async (n) => {
      if (n > 0 && n < 4) throw new Unavailable('nothing listens');
    });
    peers[0]?.sendAway();
    const early = ask();
    await reached(peers, 0, 1);
    peers[0]?.answer();
    expect(await early).toEqual(allow());
    expect(readiness().ready).toBe(true);
    await eventually(() => expect(peers[0]?.isEnded).toBe(true));
    expect(peers).toHaveLength(2);
    expect(logged).toEqual([]);
  });
});
