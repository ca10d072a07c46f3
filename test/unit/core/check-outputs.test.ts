/** The output of a check, as its adapter declares it. */
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Adapter, allow, type CheckAnswer, defineAdapter, deny } from '../../../src/adapters/contract.ts';
import { engineOf } from './engine-of.ts';

const OUTPUT = {
  text: 'string',
  count: 'int?',
  ratio: 'double?',
  fine: 'bool?',
  raw: 'bytes?',
  since: 'timestamp?',
  took: 'duration?',
  peer: 'ip?',
  roles: 'list<string>?',
  labels: 'map<string>?',
  body: 'any?',
} as const;
const GOOD = {
  text: 'x',
  count: 3,
  ratio: 0.5,
  fine: true,
  raw: new Uint8Array(2),
  since: new Date(0),
  took: 1500,
  peer: '::1',
  roles: ['a'],
  labels: { zone: 'eu' },
  body: [{ deep: null }],
};

const answering = (answer: () => CheckAnswer | Promise<CheckAnswer>): Adapter =>
  defineAdapter({
    name: 'check-out',
    summary: 'Answers with an output.',
    config: z.strictObject({}),
    serves: { check: { input: {}, output: OUTPUT } },
    open: () => Promise.resolve({ check: () => answer }),
  });

const policy = (word: string): string => `
handlers: { h: { adapter: check-out, config: {} } }
rules:
  - name: r
    check: { handler: h }
    onAllow: { request: { set: { x-text: out.text } } }
    onError: { handler: ${word} }
`;

async function asked(answer: () => CheckAnswer | Promise<CheckAnswer>, word = 'deny') {
  const { http, logged } = await engineOf(policy(word), {}, {}, [answering(answer)]);
  const verdicts = [await http(), await http()];
  return {
    outcomes: verdicts.map(({ outcome }) => outcome),
    why: verdicts.map(({ reasons }) => reasons.map(({ text }) => text)),
    errors: logged.filter(({ level }) => level === 'error'),
  };
}

const WRONG: readonly (readonly [output: unknown, said: string])[] = [
  [{ text: 5 }, 'the output text is a number, and not a valid string, as declared'],
  [{ count: 0.5 }, 'the output count is a number, and not a valid int, as declared'],
  [{ ratio: '1' }, 'the output ratio is a string, and not a valid double, as declared'],
  [{ fine: 1 }, 'the output fine is a number, and not a valid bool, as declared'],
  [{ raw: 'x' }, 'the output raw is a string, and not a valid bytes, as declared'],
  [{ since: new Date(Number.NaN) }, 'the output since is an object, and not a valid timestamp, as declared'],
  [{ took: Infinity }, 'the output took is a number, and not a valid duration, as declared'],
  [{ peer: 'nowhere' }, 'the output peer is a string, and not a valid ip, as declared'],
  [{ roles: ['a', 1] }, 'the output roles is a list, and not a valid list<string>, as declared'],
  [{ labels: ['a'] }, 'the output labels is a list, and not a valid map<string>, as declared'],
  [{ labels: new Map([['a', 'b']]) }, 'the output labels is an object, and not a valid map<string>, as declared'],
  [{ body: () => 1 }, 'the output body is a function, and not a valid any, as declared'],
  [
    { txt: 'x' },
    'no output "txt" is declared; declared: text, count, ratio, fine, raw, since, took, peer, roles, labels, body',
  ],
  ['x', 'the output of a check is values by name, not a string'],
];

describe.each([
  ['at once', (answer: CheckAnswer) => answer],
  ['by promise', (answer: CheckAnswer) => Promise.resolve(answer)],
] as const)('answered %s', (_, given) => {
  test.each(WRONG)('an output of another type or name is a fault of the plugin: %#', async (output, said) => {
    const made = { output: output as Readonly<Record<string, unknown>> };
    for (const answer of [allow(made), allow({ ...made, validForMs: 60_000 }), deny(7, 'no', made)]) {
      const { outcomes, why, errors } = await asked(() => given(answer));
      const text = `[check-out/h] error in the plugin: ${said}`;
      expect(outcomes).toEqual(['failed', 'failed']);
      expect(why).toEqual([[text], [text]]);
      expect(errors).toMatchObject([{ fields: { adapter: 'check-out', handler: 'h', why: text } }]); // said once
    }
  });

  test('values of their types pass, and absent ones', async () => {
    for (const output of [GOOD, { text: 'x', count: null, txt: undefined }, {}, undefined]) {
      const { outcomes, errors } = await asked(() => given(allow(output === undefined ? {} : { output })));
      expect(outcomes).toEqual(['allow', 'allow']);
      expect(errors).toEqual([]);
    }
  });
});

test('the rule says what such a fault comes to', async () => {
  const { outcomes } = await asked(() => deny(7, 'no', { output: { text: 5 } }), 'allow');
  expect(outcomes).toEqual(['allow', 'allow']);
});
