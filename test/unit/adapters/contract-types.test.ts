/** Mistakes that the compiler rejects: an unused `@ts-expect-error` fails `npm run typecheck`. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { allow, defineAdapter, quota, report } from 'sluice/plugin';
import { isSelfContained } from '../../../src/adapters/description.ts';

const common = {
  name: 'check-x',
  summary: 'X.',
  config: z.strictObject({ words: z.array(z.string()).default([]).describe('W.') }),
};
const serves = {
  check: {
    params: z.strictObject({ not: z.boolean().default(false).describe('N.') }),
    input: { value: 'string', age: 'int?' },
  },
} as const;

export const inferred = defineAdapter({
  ...common,
  serves,
  async open({ words }, host) {
    const listed: readonly string[] = words; // defaults are there
    host.log.info('open');
    return {
      check:
        ({ params }) =>
        ({ value, age }) => {
          const isThere: boolean = params.not !== listed.includes(value.toUpperCase());
          const years: number | undefined = age;
          return allow({ validForMs: isThere ? (years ?? 0) : 0 });
        },
    };
  },
});

export const dependsOnConfig = defineAdapter({
  ...common,
  serves,
  selfContained: ({ words }) => words.length > 0,
  open: async () => ({ check: () => () => allow() }),
});

export const dependsOnNothingKnown = defineAdapter({
  ...common,
  serves,
  // @ts-expect-error: the config has no url
  selfContained: ({ url }) => url === undefined,
  open: async () => ({ check: () => () => allow() }),
});

export const lacking = defineAdapter({
  ...common,
  serves,
  // @ts-expect-error: serves check, so open must return check
  open: async () => ({}),
});

export const tooMuch = defineAdapter({
  ...common,
  serves,
  // @ts-expect-error: lookup is not served
  open: async () => ({ check: () => () => allow(), lookup: () => () => undefined }),
});

export const misspelt = defineAdapter({
  ...common,
  // @ts-expect-error: no capability is called chekc
  serves: { chekc: { input: { value: 'string' } } },
  open: async () => ({}),
});

export const wrongType = defineAdapter({
  ...common,
  // @ts-expect-error: no attribute type is called text
  serves: { check: { input: { value: 'text' } } },
  // @ts-expect-error: so what open must return is not known either
  open: async () => ({ check: () => () => allow() }),
});

export const unknownInput = defineAdapter({
  ...common,
  serves,
  open: async () => ({
    check:
      () =>
      // @ts-expect-error: the input has no name
      ({ name }) =>
        allow({ validForMs: String(name).length }),
  }),
});

export const wrongOutput = defineAdapter({
  ...common,
  serves: { enrich: { input: { key: 'string' }, output: { limit: 'int' } } },
  // @ts-expect-error: limit is an int
  open: async () => ({ lookup: () => () => ({ limit: 'ten' }) }),
});

export const counting = defineAdapter({
  ...common,
  serves: { quota: { algorithms: ['fixed'] } },
  open: async () =>
    quota({
      bucket: ({ perMs }) => ({ perMs }),
      charge: (asks) =>
        asks.map(({ bucket, limit }) => ({ granted: bucket.perMs > 0, limit, remaining: 0, resetMs: 0 })),
    }),
});

export const writing = defineAdapter({
  ...common,
  serves: { report: { input: 'any' } },
  open: async () =>
    report({
      sink: ({ rule }) => rule.length,
      // @ts-expect-error: the sink is a number
      write: (entries) => void entries.map(({ sink }) => sink.toUpperCase()),
    }),
});

test('what infers also opens', async () => {
  expect(inferred.serves.check?.params?.parse({})).toEqual({ not: false });
  expect(Object.isFrozen(inferred)).toBe(true);
  expect(counting.selfContained).toBe(false);
  expect([{ words: ['a'] }, { words: [] }].map((config) => isSelfContained(dependsOnConfig, config))).toEqual([
    true,
    false,
  ]);
});
