/**
 * google/cel-spec's own tests, as @bufbuild/cel-spec ships them, where they need no protobuf messages.
 * The table says how many of each file pass; fewer is a failure, more is a reason to raise the number.
 */
import { inspect } from 'node:util';
import { tests as conformance } from '@bufbuild/cel-spec/testdata/conformance.js';
import { describe, expect, test } from 'vitest';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { DYN } from '../../../src/attributes/types.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { type Val, boxer, equalDyn } from '../../../src/expression/dynamic.ts';
import { FAILED, compile } from '../../../src/expression/index.ts';
import { NeedsMessages, type SpecJson, specBinding, specType, specValue } from './spec-values.ts';

/**
 * File: how many pass of those that need no messages. What does not pass, on purpose:
 * - basic, logic, parse: an unknown name, a wrong type and a constant that cannot be worked out are load errors here, also
 *   on a side that && or || would absorb;
 * - comparisons: an int and a double are compared exactly; cel-go makes the int a double first and loses its last bits;
 * - namespace: there are no containers;
 * - string_ext: strings.quote() and format() are not there.
 * Not run: extensions that Sluice does not have (encoders, math, two-variable macros), protobuf, type deductions.
 */
const PASSES: Readonly<Record<string, number>> = {
  basic: 41, comparisons: 330, conversions: 109, fields: 60, fp_math: 30, integer_math: 64, lists: 39, logic: 22, macros: 44, namespace: 1,
  parse: 176, plumbing: 5, string: 51, string_ext: 110, timestamps: 75,
};

interface SpecTest extends SpecJson {
  readonly name?: string;
  readonly expr: string;
  readonly container?: string;
  readonly typeEnv?: readonly { readonly name: string; readonly ident?: { readonly type: SpecJson } }[];
  readonly bindings?: Readonly<Record<string, { readonly value: SpecJson }>>;
  readonly value?: SpecJson;
  readonly typedResult?: { readonly result?: SpecJson };
}
interface Suite { readonly name: string; readonly suites?: readonly Suite[]; readonly tests?: readonly { readonly original: unknown }[] }

const MESSAGES = /TestAllTypes|google\.protobuf\.(?!Timestamp\b|Duration\b)\w+|NestedEnum|GlobalEnum|proto\.\w+Ext|cel\.\w+\(|\bTestAll|NullValue/;

const testsOf = (suite: Suite): SpecTest[] => [...(suite.tests ?? []).map(({ original }) => original as SpecTest), ...(suite.suites ?? []).flatMap(testsOf)];

/** What differs; nothing where it is as the spec says; `needs messages` where it cannot be said here. */
function difference(one: SpecTest): string | undefined {
  const declared = new Map((one.typeEnv ?? []).map(({ name, ident }) => [name, ident === undefined ? DYN : specType(ident.type)]));
  const bindings = Object.entries(one.bindings ?? {});
  for (const [name] of bindings) if (!declared.has(name)) declared.set(name, DYN);
  const attributes = new Attributes([...declared].map(([name, type]) => ({ name, type, meaning: 'of a test', source: { kind: 'filled' }, carriedBy: {}, always: false, secret: false })));
  const values = new Map(bindings.map(([name, { value }]) => [attributes.slotOf(name), specBinding(value, declared.get(name) ?? DYN)]));
  const wanted = one.value ?? one.typedResult?.result;
  const expected = wanted === undefined && 'evalError' in one ? undefined : wanted === undefined ? true : specValue(wanted);
  const { compiled, problems } = compile(one.expr, attributes, { accept: () => true });
  if (compiled === undefined) return expected === undefined ? undefined : `refused: ${problems.map(({ message }) => message).join('; ')}`;
  const value = compiled.evaluate({ get: (slot) => values.get(slot) as Value | undefined });
  if (value === FAILED) return expected === undefined ? undefined : `failed: ${compiled.why({ get: (slot) => values.get(slot) })}`;
  if (expected === undefined) return `gave ${inspect(value)}, an error is wanted`;
  const boxed = boxer(compiled.type)?.(value) ?? (value as Val);
  if (typeof boxed === 'number' && Number.isNaN(boxed) && typeof expected === 'number' && Number.isNaN(expected)) return undefined;
  const isSame = equalDyn(boxed, expected) && (typeof boxed === typeof expected);
  return isSame ? undefined : `gave ${inspect(boxed)}, wanted ${inspect(expected)}`;
}

describe('cel-spec', () => {
  for (const suite of (conformance as Suite).suites ?? []) {
    const all = testsOf(suite).filter(({ expr }) => !MESSAGES.test(expr));
    const wanted = PASSES[suite.name];
    if (wanted === undefined) continue;
    test(`${suite.name}: ${wanted} of ${all.length}`, () => {
      const wrong: string[] = [];
      let passed = 0;
      for (const one of all) {
        let found: string | undefined;
        try {
          found = difference(one);
        } catch (error) {
          if (!(error instanceof NeedsMessages)) throw error;
          continue;
        }
        if (found === undefined) passed += 1;
        else wrong.push(`${one.expr}: ${found}`);
      }
      if (process.env['SHOW_CONFORMANCE'] !== undefined) console.log(`${suite.name} ${passed} of ${passed + wrong.length}\n${wrong.map((line) => `   ${line}`).join('\n')}`);
      expect(passed, wrong.join('\n')).toBe(wanted);
    });
  }
});
