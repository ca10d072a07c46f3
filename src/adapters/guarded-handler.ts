/**
 * A handler of this thread as the host calls it: its tasks are attributed to it, and changes that it makes to its arguments stay with it.
 * **In**: what `open` returned. **Out**: the same methods. **Fails**: as they do.
 */
import type { AnyHandler, CheckFunction, Log, LookupFunction, ReportEntry } from './contract.ts';
import { runAs, type RunningPlugin } from './running-plugin.ts';
import { kindOf } from '../text/kind-of.ts';
import { promiseOf } from '../time/promise-of.ts';
import { Throttle } from '../time/throttle.ts';

export function guardedHandler(handler: AnyHandler, plugin: RunningPlugin, log: Log): AnyHandler {
  const has = (method: keyof AnyHandler): boolean => typeof handler[method] === 'function';
  const prepared = new WeakMap<object, unknown>();
  const known = <F extends CheckFunction | LookupFunction>(made: F): F => {
    if (!isAsync(made)) return made;
    const named = ((input, call) => runAs(plugin, made as CheckFunction, input, call)) as F;
    prepared.set(named, made);
    return named;
  };
  const prepare = <T>(make: () => T): T => runAs(plugin, make);
  const originalOf = (made: unknown): unknown => (typeof made === 'function' ? prepared.get(made) : undefined) ?? made;
  return {
    ...(has('check') && { check: (rule) => known(prepare(() => handler.check?.(rule)) as CheckFunction) }),
    ...(has('lookup') && { lookup: (rule) => known(prepare(() => handler.lookup?.(rule)) as LookupFunction) }),
    ...(has('bucket') && { bucket: (rule) => prepare(() => handler.bucket?.(rule)) }),
    ...(has('charge') && { charge: (asks, call) => handler.charge?.(asks, call) as never }),
    ...(has('reset') && { reset: (asks) => handler.reset?.(asks) }),
    ...(has('look') && { look: (asks, leases) => handler.look?.(asks, leases) ?? [] }),
    ...(has('sink') && { sink: (rule) => prepare(() => handler.sink?.(rule)) }),
    ...(has('write') && { write: guardedWrite((entries, call) => handler.write?.(entries, call), plugin, log) }),
    ...(has('forget') && { forget: (made) => handler.forget?.(originalOf(made)) }),
    ...(has('close') && { close: () => runAs(plugin, () => handler.close?.()) }),
  };
}

/** An `async` function waits, so it costs more than to say who it is; another one may answer at once, and should cost nothing. */
const isAsync = (work: unknown): boolean =>
  typeof work === 'function' && Object.prototype.toString.call(work) === '[object AsyncFunction]';

type Write = NonNullable<AnyHandler['write']>;

/** The list is the plugin's to sort or to empty: the host counts and repeats its own. */
function guardedWrite(write: Write, plugin: RunningPlugin, log: Log): Write {
  const lines = new Throttle();
  const unread = (returned: string): void => {
    const times = lines.admit();
    if (times > 0) log.warn(UNREAD, { returned, times });
  };
  return (entries: readonly ReportEntry[], call) => {
    const returned: unknown = runAs(plugin, write, [...entries], call);
    if (returned === undefined || returned === null) return undefined;
    const later = promiseOf(returned);
    if (later === undefined) {
      unread(hasPromises(returned) ? 'a list of promises' : kindOf(returned));
      return undefined;
    }
    return later.then((value) => {
      // Other values are often what a client answered.
      if (value === false || hasPromises(value)) unread(value === false ? 'a promise of false' : 'a list of promises');
    });
  };
}

const UNREAD =
  'write() returned what is not read: its entries count as written. Return a promise that settles when they are (Promise.all of ' +
  'several), and throw Unavailable or Rejected for those that are not';

const hasPromises = (value: unknown): boolean =>
  Array.isArray(value) && value.some((one) => kindOf(one) === 'a promise');
