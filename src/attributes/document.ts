import type { Attribute } from './attributes.ts';
import { RULE_CALLS, type RuleCall } from './carrier.ts';
import { typeText } from './types.ts';
import { VOCABULARY } from './vocabulary.ts';
import { OF_THE_CALL } from './vocabulary/row.ts';

const ROOTS: Readonly<Record<string, string>> = {
  request: 'The request of the client.',
  source: "The peer of Envoy's connection.",
  origin: 'The client behind that peer.',
  destination:
    "The destination of the request. `destination.ip` is the local address of the client's connection, both at the check and in the log; " +
    'the address that Envoy connected to is under `context.upstream`.',
  connection: 'The connection between the client and Envoy.',
  response: 'The response; in the access log only.',
  context: 'The proxy that sends the call, and its connection to the upstream.',
  authzen: 'The access that a client of AuthZEN asks about (docs/http.md).',
  ratelimit: 'One descriptor of a rate limit call.',
  trace:
    'The distributed trace of the request. Envoy logs what it is configured to: docs/envoy.md names the custom tags and headers.',
  log: 'A log record of OpenTelemetry that is not an entry of an access log (docs/otlp.md).',
  metric: "A sample of one of Envoy's statistics (docs/metrics.md).",
  metadata: "Dynamic metadata of Envoy's filters.",
  verdict: 'The verdict of the check, read back from the access log; in a decision, what was decided.',
};

const HEAD = `# Attributes

<!-- Generated from src/attributes/vocabulary by \`npm run generate\`: change it there. -->

The attributes that a rule may read. The names are Istio's, or Envoy's where Istio has none; a policy's own begin with \`my.\`.
The last column names the calls that can carry an attribute, each with the field of Envoy's message: \`http\` and \`tcp\` are
authorization checks, \`authzen\` is an access evaluation of AuthZEN, \`limit\` is a rate limit, \`log\` and \`tcp-log\` are access logs (\`log-interim\` and \`tcp-log-interim\`, the entries
of what has not ended, carry the same), \`otlp-log\` is a log record of OpenTelemetry, \`envoy-metric\` a sample of Envoy's statistics. A \`decision\` has
what the call that was decided has. *nothing*: Envoy sends it in no call.

- *may be absent*: reading an absent attribute fails the expression; guard it with \`has(…)\` or \`.?\`.
- *hidden*: redacted wherever it would be shown.
- *extension*: a call has it if Envoy is configured to send a context extension of that name: \`check_settings\` of a route for \`http\`,
  the header \`x-sluice-context\` for \`tcp\` and for \`http\`, where the extension of the route wins ([envoy.md](envoy.md#tcp-listeners)).

Bytes that are not UTF-8 read as U+FFFD (the replacement character) in every text of every call, names of headers and keys included.
A part of a message that cannot be decoded (metadata nested deeper than 100 messages, a truncated entry) is absent. A rule that reads it
unguarded fails, and its \`onError\` decides; other rules are not affected.
`;

/** docs/attributes.md. */
export function attributesMarkdown(): string {
  const sections = Object.entries(ROOTS).map(([root, about]) => {
    const rows = VOCABULARY.filter(({ name }) => name === root || name.startsWith(`${root}.`)).map(line);
    return `## ${root}\n\n${about}\n\n| attribute | type | means | carried by |\n|---|---|---|---|\n${rows.join('\n')}\n`;
  });
  return [HEAD, ...sections].join('\n');
}

const cell = (text: string): string => text.replaceAll('|', '\\|');

function line(attribute: Attribute): string {
  const { name, type, meaning, always, secret, source } = attribute;
  const marks = [
    ...(always || carriers(attribute).length === 0 ? [] : ['may be absent']),
    ...(secret ? ['hidden'] : []),
    ...(source.kind === 'built-in' && source.extension === true ? ['extension'] : []),
  ];
  const means = marks.length === 0 ? meaning : `${meaning} *${marks.join(', ')}*`;
  return `| \`${name}\` | ${typeText(type)} | ${cell(means)} | ${carriers(attribute).join('<br>') || 'nothing'} |`;
}

const INTERIM: ReadonlySet<RuleCall> = new Set(['log-interim', 'tcp-log-interim']);

/** Calls with the same field in one line. */
function carriers({ carriedBy }: Attribute): string[] {
  const calls = new Map<string, string[]>();
  for (const call of RULE_CALLS) {
    if (INTERIM.has(call)) continue;
    const field = carriedBy[call];
    if (field !== undefined && field !== OF_THE_CALL) calls.set(field, [...(calls.get(field) ?? []), call]);
  }
  return [...calls].map(([field, names]) => `${names.join(', ')}: ${cell(field)}`);
}
