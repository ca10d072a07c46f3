import { expect, test } from 'vitest';
import type { AnyHandler, Call, QuotaAnswer, QuotaAsk } from '../../../src/adapters/contract.ts';
import { lookingOnly } from '../../../src/explain/looking-only.ts';
import type { HandlerSpec } from '../../../src/core/rules/policy.ts';

const CALL: Call = { signal: new AbortController().signal, remainingMs: 1000, id: 'c' };
const counter = { bucket: 'b', key: 'k', limit: 10, burst: 10, perMs: 1000 };

async function looking(handler: AnyHandler): Promise<AnyHandler> {
  const open = lookingOnly(async () => ({
    handler,
    readiness: () => ({ ready: true, why: undefined }),
    close: async () => undefined,
  }));
  return (await open({} as HandlerSpec)).handler;
}

test('inspects a quota, and answers as if it had been charged', async () => {
  const asked: QuotaAsk[] = [];
  const left: QuotaAnswer = { granted: true, limit: 10, remaining: 3, resetMs: 0 };
  const handler = await looking({
    bucket: () => 'b',
    charge: (asks) => {
      asked.push(...asks);
      return asks.map(() => left);
    },
  });
  const answers = await handler.charge?.(
    [
      { ...counter, kind: 'spend', cost: 3, idempotencyKey: 'r-1' },
      { ...counter, kind: 'spend', cost: 4 },
      { ...counter, kind: 'spend', cost: 4, partial: true },
      { ...counter, kind: 'owe', cost: 99 },
      { ...counter, kind: 'release' },
    ],
    CALL,
  );
  expect(asked).toEqual([1, 2, 3, 4, 5].map(() => ({ ...counter, kind: 'look' })));
  expect(answers?.map(({ granted, remaining, resetMs, charged }) => [granted, remaining, resetMs, charged])).toEqual([
    [true, 0, 0, undefined],
    [false, 3, 1, undefined],
    [true, 0, 0, 3],
    [true, 0, 0, undefined],
    [true, 3, 0, undefined],
  ]);
});

test('writes no report, calls checks and lookups, and keeps `this` of a handler', async () => {
  class Own implements AnyHandler {
    #written = 0;
    check(): () => { kind: 'allow'; validForMs: number; uses: number; output: undefined } {
      return () => ({ kind: 'allow', validForMs: this.#written, uses: 1, output: undefined });
    }
    sink(): string {
      return `s${this.#written}`;
    }
    write(): void {
      this.#written++;
    }
  }
  const handler = await looking(new Own());
  await handler.write?.([], CALL);
  expect(handler.sink?.({ rule: 'r', params: undefined, input: {} })).toBe('s0');
  expect(await handler.check?.({ rule: 'r', params: undefined })({}, CALL)).toMatchObject({
    kind: 'allow',
    validForMs: 0,
  });
  expect('charge' in handler).toBe(false);
});
