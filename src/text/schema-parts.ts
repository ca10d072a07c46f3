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
