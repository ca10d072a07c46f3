/**
 * google/cel-spec's own tests, as @bufbuild/cel-spec ships them, run against Sluice's expressions.
 * `npm run conformance` prints the table and writes docs/conformance.md; a test compares that page with what passes.
 */
import { inspect } from 'node:util';
import { tests as conformance } from '@bufbuild/cel-spec/testdata/conformance.js';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { DYN, typeText } from '../../../src/attributes/types.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { type Val, boxer, equalDyn } from '../../../src/expression/values/dynamic.ts';
import { FAILED, compile } from '../../../src/expression/index.ts';
import { NeedsMessages, type SpecJson, specBinding, specType, specValue } from './spec-values.ts';

export interface SpecTest extends SpecJson {
  readonly name?: string;
  readonly expr: string;
  readonly container?: string;
  readonly disableCheck?: boolean;
  readonly typeEnv?: readonly {
    readonly name: string;
    readonly ident?: { readonly type: SpecJson };
    readonly function?: object;
  }[];
  readonly bindings?: Readonly<Record<string, { readonly value: SpecJson }>>;
  readonly value?: SpecJson;
  readonly typedResult?: { readonly result?: SpecJson; readonly deducedType?: SpecJson };
}
interface Suite {
  readonly name: string;
  readonly suites?: readonly Suite[];
  readonly tests?: readonly { readonly original: unknown }[];
}

export interface FileResult {
  readonly name: string;
  /** All that the file holds. */
  readonly all: number;
  /** Those that need protobuf messages or enums, which Sluice's attributes never are, or functions that the test declares. */
  readonly messages: number;
  readonly passed: number;
  readonly wrong: readonly string[];
}

export const MESSAGES =
  /TestAllTypes|TestRequired|google\.protobuf\.(?!Timestamp\b|Duration\b)\w+|NestedEnum|GlobalEnum|proto\.\w+Ext|\bTestAll|NullValue|\w+Value\{/;

const testsOf = (suite: Suite): SpecTest[] => [
  ...(suite.tests ?? []).map(({ original }) => original as SpecTest),
  ...(suite.suites ?? []).flatMap(testsOf),
];

/** What differs; nothing where it is as the spec says. Throws {@link NeedsMessages}. */
function difference(one: SpecTest): string | undefined {
  if (MESSAGES.test(one.expr) || one.typeEnv?.some((declared) => declared.function !== undefined) === true)
    throw new NeedsMessages(one.expr);
  const declared = new Map(
    (one.typeEnv ?? []).flatMap(({ name, ident }) => (ident === undefined ? [] : [[name, specType(ident.type)]])),
  );
  const bindings = Object.entries(one.bindings ?? {});
  for (const [name] of bindings) if (!declared.has(name)) declared.set(name, DYN);
  const attributes = new Attributes(
    [...declared].map(([name, type]) => ({
      name,
      type,
      meaning: 'of a test',
      source: { kind: 'filled' },
      carriedBy: {},
      always: false,
      secret: false,
    })),
  );
  const values = new Map(
    bindings.map(([name, { value }]) => [attributes.slotOf(name), specBinding(value, declared.get(name) ?? DYN)]),
  );
  const wanted = one.value ?? one.typedResult?.result;
  const expected =
    wanted === undefined && 'evalError' in one ? undefined : wanted === undefined ? true : specValue(wanted);
  const { compiled, problems } = compile(one.expr, attributes, {
    accept: () => true,
    unchecked: one.disableCheck === true,
    container: one.container ?? '',
  });
  if (compiled === undefined)
    return expected === undefined ? undefined : `refused: ${problems.map(({ message }) => message).join('; ')}`;
  const deduced = one.typedResult?.deducedType;
  if (deduced !== undefined && typeText(compiled.type) !== typeText(specType(deduced)))
    return `is of type ${typeText(compiled.type)}, wanted ${typeText(specType(deduced))}`;
  if (deduced !== undefined && wanted === undefined) return undefined;
  const value = compiled.evaluate({ get: (slot) => values.get(slot) as Value | undefined });
  if (value === FAILED)
    return expected === undefined ? undefined : `failed: ${compiled.why({ get: (slot) => values.get(slot) })}`;
  if (expected === undefined) return `gave ${inspect(value)}, an error is wanted`;
  const boxed = boxer(compiled.type)?.(value) ?? (value as Val);
  if (typeof boxed === 'number' && Number.isNaN(boxed) && typeof expected === 'number' && Number.isNaN(expected))
    return undefined;
  const isSame = equalDyn(boxed, expected) && typeof boxed === typeof expected;
  return isSame ? undefined : `gave ${inspect(boxed)}, wanted ${inspect(expected)}`;
}

/** In the spec's order of files. */
export function conformanceResults(): FileResult[] {
  return ((conformance as Suite).suites ?? []).map((suite) => {
    const all = testsOf(suite);
    const wrong: string[] = [];
    let passed = 0;
    let messages = 0;
    for (const one of all) {
      try {
        const found = difference(one);
        if (found === undefined) passed += 1;
        else wrong.push(`\`${one.expr}\` ${found}`);
      } catch (error) {
        if (!(error instanceof NeedsMessages)) throw error;
        messages += 1;
      }
    }
    return { name: suite.name, all: all.length, messages, passed, wrong };
  });
}

/** docs/conformance.md. */
export function conformancePage(results: readonly FileResult[]): string {
  const rows = results.filter(({ all }) => all > 0);
  const sum = (pick: (one: FileResult) => number): number => rows.reduce((total, one) => total + pick(one), 0);
  const row = (name: string, all: number, messages: number, passed: number): string =>
    `| ${name} | ${all} | ${messages} | ${passed} of ${all - messages} |`;
  return `# What of CEL's own tests passes

Generated by \`npm run conformance\` from google/cel-spec's simple tests, as the package @bufbuild/cel-spec ships them; a test compares this page with what passes. Tests that need protobuf messages or enums do not apply, since an attribute is never a message; nor do those (five of type_deductions) that declare functions of their own.

| file | tests | do not apply | pass |
|---|---:|---:|---:|
${rows.map(({ name, all, messages, passed }) => row(name, all, messages, passed)).join('\n')}
${row(
  '**all**',
  sum(({ all }) => all),
  sum(({ messages }) => messages),
  sum(({ passed }) => passed),
)}
${
  rows.some(({ wrong }) => wrong.length > 0)
    ? `
## What does not
The language definition compares numbers "as though they exist on a continuous number line"; Sluice does so exactly. These tests expect that an int loses digits beside a double, as it does in cel-go.

${rows.flatMap(({ name, wrong }) => wrong.map((line) => `- ${name}: ${line}`)).join('\n')}
`
    : ''
}`;
}
