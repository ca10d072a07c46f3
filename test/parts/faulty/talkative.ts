/** A check that logs what its input names: too many lines, too much, or what cannot be read. */
import { allow, defineAdapter, type Host, type Log } from 'sluice/plugin';
import { z } from 'zod';

const boom = (): never => {
  throw new Error('do not read');
};
const cycle: Record<string, unknown> = { name: 'cycle' };
cycle['self'] = cycle;
const unreadable = new Proxy({}, { get: boom, ownKeys: boom, getPrototypeOf: boom });

/** The second argument of a line. */
export const FIELDS: Readonly<Record<string, () => unknown>> = {
  'a getter': () => ({ good: 1, bad: Object.defineProperty({ a: 1 }, 'b', { get: boom, enumerable: true }) }),
  'a getter of the fields': () => Object.defineProperty({ good: 1 }, 'bad', { get: boom, enumerable: true }),
  'a cycle': () => cycle,
  'a BigInt': () => ({ some: 7n, many: 10n ** 10_000n }),
  'a huge list': () => ({ list: Array.from({ length: 100_000 }, (_, at) => at) }),
  'many names': () => Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`name${at}`, at])),
  'a long text': () => ({ text: 'x'.repeat(1024 * 1024) }),
  'a buffer': () => ({ bytes: Buffer.alloc(1024 * 1024) }),
  'a proxy': () => unreadable,
  'a proxy within': () => ({ good: 1, proxy: unreadable }),
  'a map': () => ({
    map: new Map<unknown, unknown>([
      ['a', new Set([1])],
      [boom, boom],
    ]),
  }),
  'an error': () => Object.assign(new TypeError('broken', { cause: new Error('deeper') }), { code: 'ECODE' }),
  'errors within': () => ({ list: [new Error('first')], of: { error: new Error('second') } }),
  'an error that cannot be read': () => ({ error: Object.defineProperty(new Error('x'), 'message', { get: boom }) }),
  'a function': () => ({
    function: boom,
    symbol: Symbol('s'),
    instance: new (class Some {
      a = 1;
    })(),
  }),
  'a text': () => 'no fields',
  'names of others': () => ({ handler: 'other', adapter: 'other', level: 5, time: 'never', msg: { no: 'text' } }),
};

/** Of one turn, each with a text of its own. */
export const FLOOD = 5000;

function flood(log: Log, level: keyof Log): void {
  for (let at = 0; at < FLOOD; at++) log[level](`line ${at}`, { at });
}

function say(host: Host, value: string): void {
  const [what = '', level = ''] = value.split(':');
  if (what === 'flood') flood(host.log, level as keyof Log);
  else if (what === 'print') for (let at = 0; at < FLOOD; at++) console.log(`line ${at}`); // oxlint-disable-line
  else if (what === 'stderr') process.stderr.write('y'.repeat(1024 * 1024));
  else if (what === 'message') host.log.warn('x'.repeat(1024 * 1024));
  else if (what === 'no text') host.log.warn(Object.create(null) as string);
  else host.log.info(what, FIELDS[what]?.() as never);
}

export default defineAdapter({
  name: 'check-talkative',
  summary: 'Logs.',
  config: z.strictObject({}),
  serves: { check: { input: { value: 'string' } } },
  async open(_, host) {
    return {
      check:
        () =>
        ({ value }) => {
          say(host, value);
          return allow();
        },
      async close() {
        flood(host.log, 'error');
      },
    };
  },
});
