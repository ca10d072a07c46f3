import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { type Kind, KINDS } from '../../../src/mesh/rules/kinds.ts';
import { projected } from '../../../src/mesh/sources/projection.ts';

interface Shape {
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly element?: unknown;
  readonly innerType?: unknown;
  readonly type?: string;
}
const shapeOf = (schema: unknown): Shape => (schema as { readonly _zod: { readonly def: Shape } })._zod.def;

/** A value that has every key of a schema; `leaf`: by the name of the key. */
function full(schema: unknown, key = ''): unknown {
  const { shape, element, innerType, type } = shapeOf(schema);
  if (shape !== undefined)
    return Object.fromEntries(Object.entries(shape).map(([name, own]) => [name, full(own, name)]));
  if (element !== undefined) return [full(element, key)];
  if (innerType !== undefined) return full(innerType, key);
  if (type === 'boolean') return true;
  if (type === 'record') return { some: 'text' };
  if (type === 'number' || type === 'union') return 80;
  return key === 'type' ? 'Ready' : `a ${key}`;
}

describe('what is kept of an object', () => {
  test.for<Kind>(['Pod', 'EndpointSlice', 'Service', 'Node'])('of the kind %s is all that its schema reads', (kind) => {
    const { schema, part } = KINDS[kind];
    const read = full(schema) as object;
    const object = part === undefined ? read : { [part]: read };
    const kept = projected(kind, 'v1', { metadata: { name: 'a', namespace: 'b' }, ...object });
    const again = (part === undefined ? kept : kept[part]) as object;
    expect(schema.parse(again)).toEqual(schema.parse(read));
    expect(Object.keys(schema.parse(read)).length).toBe(Object.keys(shapeOf(schema).shape ?? {}).length);
  });

  test('of other kinds is all but the state that controllers write', () => {
    const spec = { hosts: ['web'], http: [{ any: { depth: 1 } }] };
    const metadata = {
      name: 'a',
      namespace: 'b',
      labels: { app: 'web' },
      annotations: { 'networking.istio.io/exportTo': '.', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
      creationTimestamp: '2026-11-29T00:00:00Z',
      managedFields: [{ manager: 'kubectl' }],
      resourceVersion: '7',
    };
    expect(projected('VirtualService', 'networking.istio.io/v1', { metadata, spec, status: { a: 1 } })).toEqual({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: {
        name: 'a',
        namespace: 'b',
        labels: { app: 'web' },
        annotations: { 'networking.istio.io/exportTo': '.' },
        creationTimestamp: '2026-11-29T00:00:00Z',
      },
      spec,
    });
  });
});

test('a schema of this test is taken apart as zod has it', () => {
  expect(
    full(z.object({ a: z.string().optional(), b: z.array(z.object({ c: z.boolean().nullish() })).default([]) })),
  ).toEqual({
    a: 'a a',
    b: [{ c: true }],
  });
});
