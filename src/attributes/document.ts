import type { Attribute } from './attributes.ts';
import { CALL_KINDS } from './carrier.ts';
import { typeText } from './types.ts';
import { VOCABULARY } from './vocabulary.ts';

const ROOTS: Readonly<Record<string, string>> = {
  request: 'What the client asks.',
  source: "The peer of Envoy's connection.",
  origin: 'The client behind that peer.',
  destination:
    "Where the request is going. `destination.ip` is the local address of the client's connection, at the check and in the log alike; where Envoy itself connected to stands under `context.upstream`.",
  connection: 'The connection between the client and Envoy.',
  response: 'What came back; known in the access log only.',
  context: 'The proxy that asks or tells, and its way to the upstream.',
  ratelimit: 'One descriptor of a rate limit call.',
  metadata: "What Envoy's filters said of the request.",
  verdict: "What Sluice said at the check, read back from the access log. Envoy's TCP filter drops it where it denied.",
};

const HEAD = `# Attributes

<!-- Generated from src/attributes/vocabulary by \`npm run generate\`: change it there. -->

What a rule may read. The names are Istio's, and Envoy's where Istio has none; a policy's own stand under \`my.\`.
An attribute is *carried* by the calls that can bring it (\`http\` and \`tcp\` ask for authorization, \`limit\` for a rate limit,
\`log\` and \`tcp-log\` tell what happened), each with the field of Envoy's message that does. Where it stands in none, no wire
of Envoy's has it. Reading what is absent fails the expression: guard what *may be absent* by \`has(…)\` or \`.?\`.
*Hidden* ones are shown nowhere without asking. *Extension*: an \`http\` call has it where Envoy is told to send a context
extension of that name (\`check_settings\`), and the wire itself has none.

Octets that are no UTF-8 read as U+FFFD (the replacement character), in every text of every call, names of headers and keys included.
A part of a message that cannot be read (metadata nested deeper than 100 messages, an entry cut short) is absent: a rule that reads it
unguarded fails, and its \`onError\` decides. A part that no rule reads fails nothing.
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

/** Calls with the same field in one line. */
function carriers({ carriedBy }: Attribute): string[] {
  const calls = new Map<string, string[]>();
  for (const call of CALL_KINDS) {
    const field = carriedBy[call];
    if (field !== undefined) calls.set(field, [...(calls.get(field) ?? []), call]);
  }
  return [...calls].map(([field, names]) => `${names.join(', ')}: ${cell(field)}`);
}
