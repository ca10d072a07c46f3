/** Answers that are written from the parts of texts: octet by octet those that are written from whole texts. */
import { toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import type { NetChanges, Verdict } from '../../../src/core/call.ts';
import { checkAnswer } from '../../../src/frontends/ext-authz/check-answer.ts';
import { MAX_HEADERS } from '../../../src/core/text-bounds.ts';
import { CheckWire } from '../../../src/frontends/ext-authz/check-wire.ts';
import { rangeOf } from '../../../src/transport/byte-range.ts';
import { engineOf } from '../core/engine-of.ts';
import { httpCheck } from './messages.ts';

const wire = new CheckWire(rangeOf(toBinary(CheckRequestSchema, httpCheck())), () => 0);
const answerTo = (verdict: Verdict): string => Buffer.from(checkAnswer(verdict, wire)).toString('latin1');
const joined = ({ request, response, query, metadata }: NetChanges): NetChanges => ({
  request,
  response,
  query,
  metadata,
  isConstant: false,
});

// ------------------------------------------------------------ any texts

type Piece = { readonly literal: string } | { readonly header: number };
const HEADERS = ['a', 'b', 'c'];
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/g; // eslint-disable-line no-control-regex

const literal = fc.string({ unit: fc.constantFrom('x', ' ', 'é', '-', '\t', '😀', '}'), maxLength: 12 });
const piece: fc.Arbitrary<Piece> = fc.oneof(
  literal.map((written) => ({ literal: written })),
  fc.nat(HEADERS.length - 1).map((header) => ({ header })),
);
const text = fc.array(piece, { maxLength: 5 });
const sets = fc.uniqueArray(fc.tuple(fc.constantFrom('x-one', 'x-two', 'set-cookie', 'x-three'), text), {
  selector: ([name]) => name,
  maxLength: 4,
});
const value = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', maxLength: 150 }),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', '\u0000', '\u007f', '~', ' ', 'a\r\nx: y', 'é', 'x'.repeat(1100)),
);
const written = (pieces: readonly Piece[]): string =>
  pieces
    .map((one) => ('literal' in one ? one.literal : `\${request.headers["${HEADERS[one.header] ?? ''}"]}`))
    .join('');
const meant = (pieces: readonly Piece[], values: readonly string[]): string =>
  pieces.map((one) => ('literal' in one ? one.literal : (values[one.header] ?? '').replaceAll(CONTROLS, ''))).join('');

/** Names of removed headers, none of which is set. */
const REMOVED = ['x-gone', 'x-away'];

test('is that of the whole texts, whatever the texts and values are', async () => {
  let formed = 0;
  await fc.assert(
    fc.asyncProperty(
      sets,
      sets,
      fc.subarray(REMOVED),
      fc.array(fc.tuple(value, value, value), { minLength: 1, maxLength: 8 }),
      async (request, response, remove, calls) => {
        const set = (headers: typeof request) => Object.fromEntries(headers.map(([name, of]) => [name, written(of)]));
        const onAllow = { request: { set: set(request), remove }, response: { set: set(response) } };
        const { http, engine } = await engineOf(stringify({ rules: [{ name: 'sets', onAllow }] }), {});
        for (const values of calls) {
          const headers = Object.fromEntries(HEADERS.map((name, at) => [name, values[at]]));
          const verdict = await http({ 'request.headers': headers });
          if (verdict.changes.form !== undefined) formed++;
          const pairs = (of: typeof request) => of.map(([name, pieces]) => [name, meant(pieces, values)]);
          const answered = answerTo(verdict); // before anything reads the strings
          expect(verdict.changes.request.set).toEqual(pairs(request));
          expect(verdict.changes.response.set).toEqual(pairs(response));
          expect(answered).toBe(answerTo({ ...verdict, changes: joined(verdict.changes) }));
        }
        await engine.drain();
      },
    ),
    { numRuns: 150, seed: 7 },
  );
  expect(formed).toBeGreaterThan(200);
}, 60_000);

// ------------------------------------------------------------ what is left to whole texts

const POLICY = (onAllow: object, ...others: readonly object[]): string =>
  stringify({
    rules: [
      { name: 'sets', onAllow: { request: { set: { 'x-made': '${request.headers["a"]}' } }, ...onAllow } },
      ...others,
    ],
  });
/** As many headers as one rule may add. */
const MOST = { set: Object.fromEntries(Array.from({ length: MAX_HEADERS }, (_, at) => [`x-${at}`, 'long'])) };

test.each<[name: string, onAllow: object, headers: { readonly a?: string }, ...others: object[]]>([
  ['a text that fails', {}, {}],
  ['metadata', { metadata: { user: 'ann' } }, { a: 'a' }],
  ['a parameter of the query', { query: { set: { q: '1' } } }, { a: 'a' }],
  ['a header that is appended', { response: { append: { vary: 'a' } } }, { a: 'a' }],
  ['a text beyond its bound', {}, { a: 'a'.repeat(17_000) }],
  ['more headers than an answer may have', {}, { a: 'a' }, { name: 'more', onAllow: { response: MOST } }],
])('%s', async (_, onAllow, headers, ...others) => {
  const { http } = await engineOf(POLICY(onAllow, ...others), {});
  const verdict = await http({ 'request.headers': headers });
  expect(verdict.changes.form).toBeUndefined();
  expect(verdict.outcome).toBe('allow');
  const made = verdict.changes.request;
  expect('a' in headers && headers.a === 'a' ? made.set : made.remove).toEqual(
    'a' in headers && headers.a === 'a' ? [['x-made', 'a']] : ['x-made'],
  );
});

test('each length of a value, up to answers that are too long', async () => {
  const { http } = await engineOf(POLICY({ response: { set: { 'x-back': 'b-${request.headers["a"]}-e' } } }), {});
  for (let length = 0; length < 500; length++) {
    const verdict = await http({ 'request.headers': { a: 'v'.repeat(length) } });
    expect(verdict.changes.form).toBeDefined();
    expect(answerTo(verdict)).toBe(answerTo({ ...verdict, changes: joined(verdict.changes) }));
  }
});

test('ids of several lengths', async () => {
  const { http } = await engineOf(POLICY({}), {});
  const verdict = await http({ 'request.headers': { a: 'a' } });
  for (const length of [1, 12, 5, 63, 64, 200, 12])
    for (const id of ['i', 'j'].map((character) => character.repeat(length))) {
      const made = answerTo({ ...verdict, id });
      expect(made).toBe(answerTo({ ...verdict, id, changes: joined(verdict.changes) }));
      expect(made.endsWith(id)).toBe(true);
    }
});

test('answers of all kinds, one after the other, are those that each has alone', async () => {
  const policy = (name: string, onAllow: object): string => stringify({ rules: [{ name, onAllow }] });
  const made = '${request.headers["a"]}';
  const engines = await Promise.all(
    [
      policy('formed', { request: { set: { 'x-a': made }, remove: ['x-gone'] } }),
      policy('also-formed', { response: { set: { 'x-b': `<${made}>` } } }),
      policy('constant', { request: { set: { 'x-c': 'constant' } } }),
      policy('metadata', { metadata: { m: made } }),
      stringify({ rules: [{ name: 'denies', match: 'true', deny: { body: 'no' } }] }),
      stringify({
        rules: [{ name: 'fails', match: 'request.headers["none"] == "x"', deny: {} }],
      }),
    ].map(async (text) => engineOf(text, {})),
  );
  const verdicts: Verdict[] = [];
  for (const { http } of engines)
    for (const a of ['short', 'long '.repeat(20), 'é', 'x'.repeat(1500)])
      verdicts.push(await http({ 'request.headers': { a } }));
  verdicts.push({ ...(verdicts[0] as Verdict), outcome: 'error' });
  const shown = (verdict: Verdict): string => {
    try {
      return answerTo(verdict);
    } catch (error) {
      return String(error);
    }
  };
  const alone = verdicts.map((verdict) =>
    shown({ ...verdict, changes: verdict.changes.isConstant ? { ...verdict.changes } : joined(verdict.changes) }),
  );
  expect(alone.filter((text) => text.includes('could not be decided'))).toHaveLength(1);
  expect(new Set(verdicts.map(({ outcome }) => outcome))).toEqual(new Set(['allow', 'deny', 'failed', 'error']));
  for (const [first, before] of verdicts.entries())
    for (const [second, verdict] of verdicts.entries()) {
      expect(shown(before)).toBe(alone[first]);
      expect(shown(verdict)).toBe(alone[second]);
    }
});

test('an answer that throws in the middle leaves nothing for the next', async () => {
  const { http } = await engineOf(POLICY({}), {});
  const verdict = await http({ 'request.headers': { a: 'a' } });
  const whole = await http({ 'request.headers': { a: 'é' } });
  const answers = [answerTo(verdict), answerTo(whole)];
  const charCodeAt = (at: number): number => {
    if (at > 1) throw new Error('in the middle');
    return 0x41;
  };
  const broken = { length: 3, charCodeAt } as unknown as string;
  const changes = joined(verdict.changes);
  for (const made of [
    { ...changes, form: verdict.changes.form, values: [broken] },
    { ...changes, metadata: [['m', broken]] as const },
  ]) {
    expect(() => answerTo({ ...verdict, changes: made })).toThrow('in the middle');
    expect([answerTo(verdict), answerTo(whole)]).toEqual(answers);
  }
});

test('one answer does not reach into another: a value that cannot be written from its parts comes between', async () => {
  const { http } = await engineOf(POLICY({}), {});
  const answers: string[] = [];
  for (const a of ['long enough to leave octets behind', 'é', 'b']) {
    const verdict = await http({ 'request.headers': { a } });
    answers.push(answerTo({ ...verdict, id: 'v' }));
    expect(answers.at(-1)).toBe(answerTo({ ...verdict, id: 'v', changes: joined(verdict.changes) }));
  }
  expect(new Set(answers).size).toBe(3);
});
