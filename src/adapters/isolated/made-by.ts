/** Prepares a rule with a handler, once, before its calls: the function, bucket or sink. */
import type { AnyHandler } from '../contract.ts';
import { noFunction, notPromised } from '../thrown-place.ts';
import type { Prepare } from './protocol.ts';
import type { SessionCall } from './session-call.ts';

export type Made =
  | { readonly why: string }
  | { readonly function: (input: never, call: SessionCall) => unknown }
  | { readonly value: unknown };

export function madeBy(handler: AnyHandler, capability: Prepare['capability'], rule: Prepare['rule']): Made {
  switch (capability) {
    case 'check':
    case 'enrich': {
      const made: unknown = capability === 'check' ? handler.check?.(rule) : handler.lookup?.(rule);
      return typeof made === 'function'
        ? { function: made as never }
        : { why: noFunction(capability === 'check' ? 'check' : 'lookup', made) };
    }
    case 'quota':
      return { value: notPromised('bucket', handler.bucket?.(rule as never)) };
    case 'report':
      return { value: notPromised('sink', handler.sink?.(rule as never)) };
  }
}
