/** The vocabulary and a policy's own attributes, and bags of plain values, for the tests of expressions. */
import { Attributes } from '../../../src/attributes/attributes.ts';
import type { Bag } from '../../../src/attributes/bag.ts';
import { INT, STRING, STRING_MAP, type Type, listOf, mapOf } from '../../../src/attributes/types.ts';
import type { Value } from '../../../src/attributes/values.ts';
import { VOCABULARY } from '../../../src/attributes/vocabulary.ts';
import {
  type Compiled,
  type CompiledText,
  type CompileOptions,
  compile,
  compileText,
} from '../../../src/expression/index.ts';
import { filledAttributes } from './filled-attributes.ts';

const OWN: Readonly<Record<string, Type>> = {
  'my.tenant.limit': INT,
  'my.tenant.plan': STRING,
  'my.flags': STRING_MAP,
  'my.flags.count': INT,
  'my.deep': mapOf(STRING, STRING_MAP),
  'my.list': listOf(INT),
};

export const ATTRIBUTES = new Attributes(VOCABULARY).extend(filledAttributes(OWN));

export function bagOf(values: Readonly<Record<string, Value>>): Bag {
  const bySlot = new Map(
    Object.entries(values).map(([name, value]) => {
      const slot = ATTRIBUTES.slotOf(name);
      if (slot === undefined) throw new Error(`no attribute ${name}`);
      return [slot, value];
    }),
  );
  return { get: (slot) => bySlot.get(slot) };
}

export function compiled(source: string, options?: CompileOptions): Compiled {
  const { compiled: made, problems } = compile(source, ATTRIBUTES, options);
  if (made === undefined) throw new Error(problems.map(({ message }) => message).join('\n'));
  return made;
}

export const valueOf = (
  source: string,
  values: Readonly<Record<string, Value>> = {},
): ReturnType<Compiled['evaluate']> => compiled(source).evaluate(bagOf(values));

export function textOf(source: string): CompiledText {
  const { compiled: made, problems } = compileText(source, ATTRIBUTES);
  if (made === undefined) throw new Error(problems.map(({ message }) => message).join('\n'));
  return made;
}

/** The problems as `CODE start-end message`. */
export const problemsOf = (source: string, options?: CompileOptions): string[] =>
  compile(source, ATTRIBUTES, options).problems.map(
    ({ code, start, end, message }) => `${code} ${start}-${end} ${message}`,
  );
