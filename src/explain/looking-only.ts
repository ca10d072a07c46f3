/**
 * Handlers without side effects: quotas are inspected instead of charged, reports are not written.
 * Checks and lookups are called unchanged, since a verdict needs their answers.
 */
import { changeOf, fits, lookOf } from '../counting/ask.ts';
import type { AnyHandler, QuotaAnswer, QuotaAsk } from '../adapters/contract.ts';
import type { OpenHandlers } from '../core/handlers/live-handler.ts';

export function lookingOnly(openHandlers: OpenHandlers): OpenHandlers {
  return async (spec) => {
    const open = await openHandlers(spec);
    return { ...open, handler: looking(open.handler) };
  };
}

function looking(handler: AnyHandler): AnyHandler {
  const charge = handler.charge?.bind(handler);
  return {
    ...bound(handler),
    ...(charge === undefined
      ? {}
      : {
          charge: (asks, call) => {
            const answers = charge(asks.map(lookOf), call);
            return answers instanceof Promise
              ? answers.then((awaited) => asIfCharged(asks, awaited))
              : asIfCharged(asks, answers);
          },
        }),
    ...(handler.write === undefined ? {} : { write: () => undefined }),
  };
}

const METHODS: readonly (keyof AnyHandler)[] = [
  'check',
  'bucket',
  'charge',
  'reset',
  'look',
  'sink',
  'write',
  'lookup',
  'forget',
  'close',
];

/** The methods of a handler as functions, since it may be an instance of a class. */
export const bound = (handler: AnyHandler): AnyHandler =>
  Object.fromEntries(
    METHODS.flatMap((name) => {
      const method: unknown = handler[name];
      return typeof method === 'function' ? [[name, method.bind(handler) as unknown]] : [];
    }),
  );

export const asIfCharged = (asks: readonly QuotaAsk[], answers: readonly QuotaAnswer[]): readonly QuotaAnswer[] =>
  answers.map((answer, at) => {
    const ask = asks[at] as QuotaAsk;
    const granted = fits(ask, answer.remaining);
    if (!granted) return { ...answer, granted, resetMs: Math.max(1, answer.resetMs) };
    const charged = Math.min(Math.max(0, changeOf(ask)), answer.remaining);
    const isPartial = ask.kind === 'spend' && ask.partial === true;
    return { ...answer, granted, remaining: answer.remaining - charged, ...(isPartial ? { charged } : {}) };
  });
