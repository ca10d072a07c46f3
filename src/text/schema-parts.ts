/** What a schema of zod is made of, for walks over configs. */
export interface SchemaParts {
  readonly meta?: Readonly<Record<string, unknown>> | undefined;
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly innerType?: unknown;
  readonly element?: unknown;
  /** Of a record. */
  readonly valueType?: unknown;
  /** Of a union. */
  readonly options?: readonly unknown[];
  /** Of a pipe. */
  readonly in?: unknown;
}

export function schemaParts(schema: unknown): SchemaParts {
  const { _zod: zod, meta } = schema as {
    _zod?: { def: SchemaParts };
    meta?: () => Readonly<Record<string, unknown>> | undefined;
  };
  return { ...zod?.def, meta: typeof meta === 'function' ? meta.call(schema) : undefined };
}

const marking = new WeakMap<object, boolean>();

/** Whether a value of the schema may have a part that is marked as secret. */
export function marksSecrets(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  let marks = marking.get(schema);
  if (marks !== undefined) return marks;
  marking.set(schema, true); // a schema that has itself
  const { meta, shape, innerType, element, valueType, options, in: input } = schemaParts(schema);
  const inside = [innerType, input, element, valueType, ...(options ?? []), ...Object.values(shape ?? {})];
  marks = meta?.['secret'] === true || inside.some(marksSecrets);
  marking.set(schema, marks);
  return marks;
}
