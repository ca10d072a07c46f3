/** Behaviours of every adapter whose backend is unreachable. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type Adapter, type AnyHandler, Unavailable } from '../contract.ts';
import { type Behaviour, eventually, openSubject, paramsOf } from './behaviours.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { PlacedSubject } from './subject.ts';

const CALL_MS = 1000;

export function unreachableBehaviours(adapter: Adapter, subject: PlacedSubject): Behaviour[] {
  if (subject.unreachable === undefined) return [];
  const without: PlacedSubject = { ...subject, config: subject.unreachable };
  const of = (says: string, show: (opened: OpenedForTest) => Promise<void>): Behaviour => ({
    says,
    async show() {
      const opened = await openSubject(adapter, without);
      try {
        await show(opened);
      } finally {
        await opened.close();
      }
    },
  });
  return [
    of('it opens and closes although its backend is unavailable', async () => {}),
    of('without its backend a call is Unavailable, within its time', async ({ handler }) => {
      const startedMs = performance.now();
      await assert.rejects(
        async () => {
          await callOnce(adapter, subject, handler);
        },
        (error) => error instanceof Unavailable,
        'it does not fail as Unavailable',
      );
      const tookMs = performance.now() - startedMs;
      assert.ok(tookMs < 2 * CALL_MS, `a call with ${CALL_MS} ms left took ${Math.round(tookMs)} ms`);
    }),
    of('without its backend it says that it is not ready, and why', async ({ handler, readiness }) => {
      await callOnce(adapter, subject, handler).catch(() => undefined);
      await eventually(() => assert.equal(readiness().ready, false));
      assert.notEqual((readiness().why ?? '').trim(), '');
    }),
  ];
}

/** One call of the first served capability, with its example. */
export async function callOnce(adapter: Adapter, subject: PlacedSubject, handler: AnyHandler): Promise<unknown> {
  const call = testCall(CALL_MS);
  const rule = 'example';
  if (handler.charge !== undefined) {
    const bucket = handler.bucket?.({
      rule,
      counter: `away-${randomUUID()}`,
      algorithm: adapter.serves.quota?.algorithms[0] ?? 'fixed',
      perMs: 60_000,
      params: paramsOf(adapter, 'quota', subject.quota?.params),
    });
    return handler.charge([{ kind: 'spend', bucket, key: 'ann', cost: 1, limit: 1, burst: 1, perMs: 60_000 }], call);
  }
  if (handler.write !== undefined) {
    const input = subject.report?.input(0) ?? {};
    const shape = subject.report?.shape ?? Object.fromEntries(Object.keys(input).map((name) => [name, 'any' as const]));
    const sink = handler.sink?.({ rule, input: shape, params: paramsOf(adapter, 'report', subject.report?.params) });
    return handler.write([{ sink, id: randomUUID(), timeMs: 0, input }], call);
  }
  if (handler.check !== undefined)
    return handler.check({ rule, params: paramsOf(adapter, 'check', subject.check?.params) })(
      subject.check?.allowed[0] ?? {},
      call,
    );
  return handler.lookup?.({ rule, params: paramsOf(adapter, 'enrich', subject.enrich?.params) })(
    subject.enrich?.known[0]?.input ?? {},
    call,
  );
}
