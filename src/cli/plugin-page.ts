/** The page of `sluice plugins show NAME`: an example with every key explained, generated from the adapter's schemas. */
import { stringify } from 'yaml';
import { z } from 'zod';
import { type Adapter, type Capability, CAPABILITIES, type Serves } from '../adapters/contract.ts';
import { exampleLines, indented, type JsonSchema } from './schema-example.ts';

/** `from`: how a policy names the plugin, and its module; absent for a built-in adapter. */
export function pluginPage(adapter: Adapter, from?: { readonly plugin: string; readonly module: string }): string {
  return [
    `# ${adapter.name}: ${adapter.summary}`,
    `# Serves ${CAPABILITIES.filter((capability) => adapter.serves[capability] !== undefined).join(', ')}. ${independence(adapter)}`.trimEnd(),
    ...(from === undefined ? [''] : [`# From ${from.module}.`, '', `plugins: [${stringify(from.plugin).trim()}]`, '']),
    exampleOf(adapter, from?.module.endsWith('.json')),
  ].join('\n');
}

/** A handler and a rule for each capability, as YAML. `isRemote`: the adapter is known by its description only. */
export function exampleOf(adapter: Adapter, isRemote = false): string {
  const config = exampleLines(schemaOf(adapter.config));
  return [
    'handlers:',
    '  my-handler:',
    `    adapter: ${adapter.name}`,
    ...(isRemote ? [`    run: { dial: "unix:/run/${adapter.name}.sock" }`] : []),
    ...indented(under('config', config), '    '),
    '',
    'rules:',
    ...CAPABILITIES.filter((capability) => adapter.serves[capability] !== undefined).flatMap((capability) =>
      ruleLines(capability, adapter.serves),
    ),
    '',
  ].join('\n');
}

/** Empty for an adapter with a backend. */
export function independence({ selfContained }: Adapter): string {
  if (typeof selfContained === 'function')
    return 'It needs nothing outside the process, unless its config names something there.';
  return selfContained ? 'It needs nothing outside the process.' : '';
}

const schemaOf = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;

/** If every key is optional, the value is an empty map; entirely commented out, it would read as null. */
function under(key: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [`${key}: {}`];
  const isEmpty = lines.every((line) => line.startsWith('#'));
  return [isEmpty ? `${key}: {}  # or some of:` : `${key}:`, ...indented(lines)];
}

function ruleLines(capability: Capability, serves: Serves): string[] {
  const params = serves[capability]?.params;
  const paramLines = params === undefined ? [] : exampleLines(schemaOf(params));
  const body = [
    'handler: my-handler',
    ...(paramLines.length === 0 ? [] : under('params', paramLines)),
    ...capabilityLines(capability, serves),
  ];
  return [`  - name: an-example-of-${capability}`, `    ${capability}:`, ...indented(body, '      ')];
}

function capabilityLines(capability: Capability, serves: Serves): string[] {
  switch (capability) {
    case 'check':
      return [
        ...shapeLines('input', serves.check?.input, serves.check?.defaults),
        ...outputLines('# its output, for onAllow and onDeny: out.reason', serves.check?.output, 'out.'),
      ];
    case 'quota':
      return [
        `# algorithms: ${serves.quota?.algorithms.join(', ') ?? ''}`,
        'algorithm: ' + (serves.quota?.algorithms[0] ?? 'fixed'),
        'limit: 100',
        'per: 1m',
        'key: [source.principal]',
      ];
    case 'report':
      return shapeLines('input', serves.report?.input);
    case 'enrich':
      return [
        ...shapeLines('input', serves.enrich?.input, serves.enrich?.defaults),
        'as: my.enriched',
        ...outputLines(
          '# its output:',
          typeof serves.enrich?.output === 'function' ? undefined : serves.enrich?.output,
          'my.enriched.',
        ),
      ];
  }
}

function shapeLines(key: string, shape: unknown, defaults: unknown = {}): string[] {
  if (shape === 'any') return [`${key}: { any_name: EXPRESSION }  # any names`];
  if (typeof shape !== 'object' || shape === null)
    return [
      typeof defaults === 'function'
        ? `# ${key}: { ... }  # names, types and defaults follow from config and params; may be left out`
        : `${key}: { ... }  # names and types follow from config and params`,
    ];
  const fields = Object.entries(shape as Readonly<Record<string, string>>);
  const lines = fields.map(([name, type]) => {
    const given = (defaults as Readonly<Record<string, string>>)[name];
    const bare = type.endsWith('?') ? type.slice(0, -1) : type;
    if (given !== undefined) return `# ${name}: ${given}  # ${bare}, the default`;
    return `${name}: EXPRESSION  # ${bare === type ? type : `${bare}, may be left out`}`;
  });
  return under(key, lines);
}

function outputLines(title: string, shape: Readonly<Record<string, string>> | undefined, before: string): string[] {
  const fields = Object.entries(shape ?? {}).map(([name, type]) => `${before}${name} (${type})`);
  return fields.length === 0 ? [] : [`${title}${title.endsWith(':') ? '' : ','} ${fields.join(', ')}`];
}
