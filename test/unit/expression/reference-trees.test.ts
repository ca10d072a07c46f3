/** Our parser and checker compared with cel-go's trees and types of cel-spec's tests, from @bufbuild/cel-spec. */
import { tests as checking } from '@bufbuild/cel-spec/testdata/checking.js';
import { tests as comprehension } from '@bufbuild/cel-spec/testdata/comprehension.js';
import { tests as conformance } from '@bufbuild/cel-spec/testdata/conformance.js';
import { tests as parsing } from '@bufbuild/cel-spec/testdata/parsing.js';
import { expect, test } from 'vitest';
import { Attributes } from '../../../src/attributes/attributes.ts';
import { typeText } from '../../../src/attributes/types.ts';
import { compile } from '../../../src/expression/index.ts';
import type { Node } from '../../../src/expression/parse/ast.ts';
import { SyntaxProblem } from '../../../src/expression/parse/problem.ts';
import { parse } from '../../../src/expression/parse/parser.ts';
import { MESSAGES, type SpecTest } from './conformance.ts';
import { NeedsMessages, specType } from './spec-values.ts';

interface Record {
  readonly original: SpecTest;
  readonly ast?: string;
  readonly type?: string;
  readonly error?: string;
}
interface Suite {
  readonly suites?: readonly Suite[];
  readonly tests?: readonly Record[];
}
const recordsOf = (suite: Suite): Record[] => [...(suite.tests ?? []), ...(suite.suites ?? []).flatMap(recordsOf)];
const records = [conformance, parsing, checking, comprehension].flatMap((suite) =>
  recordsOf(suite as unknown as Suite),
);

/** As cel-go's debug writer shows a tree, on one line. */
function shown(node: Node): string {
  const all = (nodes: readonly Node[]): string => nodes.map(shown).join(',');
  switch (node.kind) {
    case 'literal':
      return literalText(node);
    case 'name':
      return `${node.absolute === true ? '.' : ''}${node.name}`;
    case 'select':
      return node.optional ? `_?._(${shown(node.of)},"${node.field}")` : `${shown(node.of)}.${node.field}`;
    case 'index':
      return `${node.optional ? '_[?_]' : '_[_]'}(${shown(node.of)},${shown(node.key)})`;
    case 'has':
      return `${shown(node.of)}~test-only~`;
    case 'and':
      return `_&&_(${shown(node.left)},${shown(node.right)})`;
    case 'or':
      return `_||_(${shown(node.left)},${shown(node.right)})`;
    case 'if':
      return `_?_:_(${shown(node.test)},${shown(node.yes)},${shown(node.no)})`;
    case 'list':
      return `[${node.items.map(({ node: item, optional }) => (optional ? '?' : '') + shown(item)).join(',')}]`;
    case 'map':
      return `{${node.entries.map(({ key, value, optional }) => `${optional ? '?' : ''}${shown(key)}:${shown(value)}`).join(',')}}`;
    case 'call': {
      if (node.target !== undefined) return `${shown(node.target)}.${node.name}(${all(node.args)})`;
      if (node.name === '-' && node.args.length === 1) return `-_(${all(node.args)})`;
      if (node.name === '!') return `!_(${all(node.args)})`;
      if (node.name === 'in') return `@in(${all(node.args)})`;
      return `${/^\W/.test(node.name) ? `_${node.name}_` : node.name}(${all(node.args)})`;
    }
    case 'macro':
    case 'optMap':
    case 'bind':
      return 'macro';
  }
}

function literalText({ type, value }: Node & { kind: 'literal' }): string {
  if (type === 'string') return JSON.stringify(value);
  if (type === 'uint') return `${String(value as number)}u`;
  if (type === 'bytes') return 'bytes';
  return type === 'double' ? String(value as number) : String(value as null);
}

/**
 * What is compared: no macros (cel-go has expanded them), no messages, no texts with escapes or doubles that are written in
 * several ways, `&&` and `||` at most once (it balances chains), no `!!` and `--` (it takes pairs away).
 */
const isPlain = (ast: string, expr: string): boolean =>
  !ast.includes('__comprehension__') &&
  !/\d{16,}\.0|-0\.0|!!|--|\w\s*\{/.test(expr) &&
  !/\\|b['"]|[^\u0020-\u007e\s]/.test(expr) &&
  !ast.includes('@') &&
  (expr.match(/&&|\|\|/g) ?? []).length < 2;

test('trees are those of cel-go', () => {
  let compared = 0;
  const wrong: string[] = [];
  for (const {
    original: { expr },
    ast,
    error,
  } of records) {
    if (ast === undefined || error !== undefined || MESSAGES.test(expr)) continue;
    const wanted = ast
      .replaceAll(/\^#\*expr\.\w+#/g, '')
      .replaceAll('@in(', 'IN(')
      .replaceAll(/\s+(?=(?:[^"]*"[^"]*")*[^"]*$)/g, '');
    if (!isPlain(wanted, expr)) continue;
    let ours: string;
    try {
      ours = shown(parse(expr))
        .replaceAll('@in(', 'IN(')
        .replaceAll(/\s+(?=(?:[^"]*"[^"]*")*[^"]*$)/g, '');
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      wrong.push(`${expr}: ${error.message}`);
      continue;
    }
    if (ours.includes('macro') || ours.includes('bytes')) continue;
    compared += 1;
    if (ours !== wanted) wrong.push(`${expr}\n  ours   ${ours}\n  cel-go ${wanted}`);
  }
  if (process.env['SHOW'] !== undefined) console.log(compared, wrong.join('\n'));
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(1000);
});

/**
 * Where ours are others: cel-go works out the element of an empty list or optional from what is done with it, gives `cel.block` no type,
 * and lets the last of several types win beside null.
 */
const OTHER_TYPES = /cel\.block|none\(\)\[0\]|\[\]\.(map|filter)|\{\}\.map|null\]\[0\]/;

test('types are those of cel-go', () => {
  let compared = 0;
  const wrong: string[] = [];
  for (const { original, type } of records) {
    if (
      type === undefined ||
      OTHER_TYPES.test(original.expr) ||
      MESSAGES.test(original.expr) ||
      /[A-Z~]|wrapper|google|cel\.|any|type\(/.test(type) ||
      original.typeEnv?.some((one) => one.function !== undefined) === true
    )
      continue;
    try {
      const declared = (original.typeEnv ?? []).flatMap(({ name, ident }) =>
        ident === undefined ? [] : [[name, specType(ident.type)] as const],
      );
      const attributes = new Attributes(
        declared.map(([name, of]) => ({
          name,
          type: of,
          meaning: 'of a test',
          source: { kind: 'filled' },
          carriedBy: {},
          always: false,
          secret: false,
        })),
      );
      const { compiled } = compile(original.expr, attributes, {
        accept: () => true,
        container: original.container ?? '',
      });
      if (compiled === undefined) continue; // constants that fail, and what the tests leave undeclared
      compared += 1;
      const ours = typeText(compiled.type).replaceAll('optional(', 'optional_type(');
      if (ours !== type) wrong.push(`${original.expr}: ours ${ours}, cel-go ${type}`);
    } catch (error) {
      if (!(error instanceof NeedsMessages)) throw error;
    }
  }
  if (process.env['SHOW'] !== undefined) console.log(compared, wrong.join('\n'));
  expect(wrong).toEqual([]);
  expect(compared).toBeGreaterThan(1000);
});
