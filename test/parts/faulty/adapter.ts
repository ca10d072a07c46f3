/** Checks with faults, chosen by the path of the request, and one without. */
import {
  type Adapter,
  allow,
  type CheckAnswer,
  defineAdapter,
  deny,
  PERMISSION_DENIED,
  Unavailable,
} from 'sluice/plugin';
import { z } from 'zod';

const kept: unknown[] = [];
const loop = (): never => {
  for (;;);
};
const never = (): Promise<never> => new Promise(() => undefined);

/** Keeps what it makes: on the heap, or in buffers outside of it. */
function leak(make: () => unknown): Promise<never> {
  const timer = setInterval(() => {
    kept.push(make());
  }, 2);
  timer.unref();
  return never();
}

/** By the last part of the path. */
const FAULTS: Readonly<Record<string, () => unknown>> = {
  hang: never,
  loop,
  busy() {
    const endAtMs = performance.now() + 150;
    while (performance.now() < endAtMs);
    return allow();
  },
  throw() {
    throw new TypeError('thrown by the check');
  },
  reject: () => Promise.reject(new RangeError('rejected by the check')),
  unavailable: () => Promise.reject(new Unavailable('its backend is away')),
  number: () => 42,
  nothing: () => undefined,
  'wrong-kind': () => Promise.resolve({ kind: 'maybe' }),
  uncloneable: () => Promise.resolve({ ...deny(PERMISSION_DENIED, 'no'), output: { compare: () => 1 } }),
  'throws-when-read': () => ({
    get kind(): string {
      throw new Error('do not read');
    },
  }),
  /** A server refuses `process.exit` to a plugin. */
  exit: () => (process as unknown as { reallyExit(code: number): never }).reallyExit(7),
  forgotten() {
    void Promise.reject(new Error('nobody awaits this'));
    return allow();
  },
  timer() {
    setTimeout(() => {
      throw new Error('thrown in a timer');
    }, 1);
    return allow();
  },
  print() {
    console.log('printed by the check'); // oxlint-disable-line
    return allow();
  },
  'leak-heap': () => leak(() => Array.from({ length: 5000 }, (_, at) => ({ at }))),
  'leak-buffers': () => leak(() => Buffer.alloc(1024 * 1024, 1)),
};

function faultOf(path: string): CheckAnswer {
  const fault = FAULTS[path.split('/').at(-1) ?? ''];
  return (fault === undefined ? allow() : fault()) as CheckAnswer;
}

const faulty = defineAdapter({
  name: 'check-faulty',
  summary: 'Has the fault that the path names; allows other paths.',
  config: z.strictObject({
    hangsIn: z.enum(['open', 'close', 'prepare', 'nowhere']).default('nowhere').describe('Where it does not return.'),
    loopsIn: z.enum(['open', 'close', 'prepare', 'nowhere']).default('nowhere').describe('Where it loops.'),
  }),
  serves: {
    check: {
      params: z.strictObject({ bad: z.boolean().default(false).describe('Rejects the rule.') }),
      input: { path: 'string' },
    },
  },
  async open({ hangsIn, loopsIn }) {
    if (loopsIn === 'open') loop();
    if (hangsIn === 'open') await never();
    return {
      check({ rule, params: { bad } }) {
        if (bad) throw new Error(`${rule} is bad`);
        if (loopsIn === 'prepare' && rule === 'loops') loop();
        return ({ path }) => faultOf(path);
      },
      async close() {
        if (loopsIn === 'close') loop();
        if (hangsIn === 'close') await never();
      },
    };
  },
});

const steady = defineAdapter({
  name: 'check-steady',
  summary: 'Denies paths that end in /no.',
  config: z.strictObject({}),
  serves: { check: { input: { path: 'string' } } },
  open: async () => ({
    check:
      () =>
      ({ path }) =>
        path.endsWith('/no')
          ? deny(PERMISSION_DENIED, 'it ends in no')
          : path.endsWith('/later')
            ? Promise.resolve(allow())
            : allow(),
  }),
});

export default [faulty, steady] satisfies readonly Adapter[];
