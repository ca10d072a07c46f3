/** Building blocks of the lists of behaviours. */
import assert from 'node:assert/strict';
import type { Adapter } from '../contract.ts';
import { type OpenedForTest, openForTest } from './open-for-test.ts';
import type { PlacedSubject } from './subject.ts';

/** A sentence and its test. */
export interface Behaviour {
  readonly says: string;
  readonly show: () => void | Promise<void>;
}

/** A behaviour of an open handler, which is always closed afterwards. */
export function ofOpen(
  adapter: Adapter,
  subject: PlacedSubject,
  says: string,
  show: (opened: OpenedForTest) => void | Promise<void>,
): Behaviour {
  return {
    says,
    async show() {
      const opened = await openSubject(adapter, subject);
      try {
        await show(opened);
      } finally {
        await opened.close();
      }
    },
  };
}

export async function openSubject(
  adapter: Adapter,
  subject: PlacedSubject,
  signal?: AbortSignal,
): Promise<OpenedForTest> {
  const config = typeof subject.config === 'function' ? await (subject.config as () => unknown)() : subject.config;
  return openForTest(adapter, {
    config,
    ...(subject.folder === undefined ? {} : { folder: subject.folder }),
    ...(subject.clock === undefined ? {} : { clock: subject.clock() }),
    ...(signal === undefined ? {} : { signal }),
    place: subject.place,
    ...(subject.module === undefined ? {} : { module: subject.module }),
  });
}

/** Retries until `show` does not throw, or until the timeout. */
export async function eventually(show: () => void | Promise<void>, withinMs = 15_000): Promise<void> {
  const until = performance.now() + withinMs;
  for (;;) {
    try {
      await show();
      return;
    } catch (error) {
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}

export function paramsOf(
  adapter: Adapter,
  capability: 'check' | 'quota' | 'report' | 'enrich',
  params: unknown,
): unknown {
  const schema = adapter.serves[capability]?.params;
  if (schema === undefined) {
    assert.equal(params, undefined, `the example has params for ${capability}, but the adapter declares none`);
    return undefined;
  }
  return schema.parse(params ?? {});
}
