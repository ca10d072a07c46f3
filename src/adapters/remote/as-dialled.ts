/** An adapter whose module is in this process, too, while its handler runs behind an address. */
import { z } from 'zod';
import type { Adapter, AnyHandler, Host, RuleParams, Serves, Shape } from '../contract.ts';
import { schemaText } from './description.ts';

/** The same one for an adapter each time, so that a reload keeps its handlers. */
const dialled = new WeakMap<Adapter, Adapter>();

/**
 * The adapter for a handler that runs behind an address: its config and params stay as operators write them, with the defaults filled in,
 * since the plugin parses them itself. They are checked by the adapter's own schemas.
 */
export function asDialled(adapter: Adapter): Adapter {
  const known = dialled.get(adapter);
  if (known !== undefined) return known;
  const serves = Object.fromEntries(
    Object.entries(adapter.serves as Readonly<Record<string, { readonly params?: z.ZodType }>>).map(
      ([capability, declared]) => [
        capability,
        { ...declared, ...unparsedParams(declared), ...unparsedShapes(adapter, declared) },
      ],
    ),
  ) as Serves;
  const wrapped: Adapter = Object.freeze({
    ...adapter,
    config: unparsed(adapter.config),
    serves,
    // Cases run it in this process.
    open: async (config: unknown, host: Host) =>
      withParsedParams(await adapter.open(await adapter.config.parseAsync(config), host), adapter.serves),
  });
  dialled.set(adapter, wrapped);
  dialled.set(wrapped, wrapped);
  return wrapped;
}

const unparsedParams = ({ params: schema }: { readonly params?: z.ZodType }): object =>
  schema === undefined ? {} : { params: unparsed(schema) };

/** Functions of config and params get them as parsed. */
function unparsedShapes({ config: configSchema }: Adapter, declared: { readonly params?: z.ZodType }): object {
  const parsing =
    (spec: (config: never, params: never) => Shape) =>
    (config: unknown, given: unknown): Shape =>
      spec(configSchema.parse(config) as never, declared.params?.parse(given) as never);
  return Object.fromEntries(
    Object.entries(declared)
      .filter(([key, value]) => (key === 'input' || key === 'output') && typeof value === 'function')
      .map(([key, value]) => [key, parsing(value as never)]),
  );
}

/** Accepts the same, and returns it with the defaults of its JSON Schema instead of parsed. */
function unparsed(schema: z.ZodType): z.ZodType {
  const input = z.fromJSONSchema(JSON.parse(schemaText(schema)) as Parameters<typeof z.fromJSONSchema>[0]);
  return input.superRefine((value, context) => {
    const parsed = schema.safeParse(value);
    for (const issue of parsed.success ? [] : parsed.error.issues) context.addIssue({ ...issue } as never);
  });
}

const PREPARING = { check: 'check', lookup: 'enrich', bucket: 'quota', sink: 'report' } as const;

function withParsedParams(handler: AnyHandler, serves: Serves): AnyHandler {
  const own = handler as unknown as Record<string, ((...given: unknown[]) => unknown) | undefined>;
  const methods = [...Object.keys(PREPARING), 'charge', 'reset', 'look', 'write', 'forget', 'close'];
  return Object.fromEntries(
    methods.flatMap((method) => {
      if (own[method] === undefined) return [];
      const schema = serves[PREPARING[method as keyof typeof PREPARING]]?.params;
      return schema === undefined
        ? [[method, (...given: unknown[]) => own[method]?.(...given)]]
        : [[method, (rule: RuleParams) => own[method]?.({ ...rule, params: schema.parse(rule.params) })]];
    }),
  );
}
