/** Allows only the values on a list, or refuses them. */
import { z } from 'zod';
import { allow, defineAdapter, deny, PERMISSION_DENIED, watchedFile } from 'sluice/plugin';
import { type Kind, type List, makeList, valueProblem } from './list.ts';

const SHOWN_CHARACTERS = 200; // a reason is for people; a value may be a whole header

const config = z.strictObject({
  kind: z.enum(['string', 'prefix', 'cidr', 'regex']).default('string')
    .describe('How a value is compared: equal; beginning with; an IP address in a network; a pattern of RE2 found anywhere in it (anchor with ^ and $).'),
  values: z.array(z.string().min(1)).default([]).describe('The values on the list.').meta({ examples: [['ann', 'bob']] }),
  file: z.string().min(1).optional()
    .describe('A file of more values, one a line; empty lines and those that begin with # are skipped. Watched: a file that turns bad keeps the last good list.')
    .meta({ examples: ['offices.txt'] }),
  ignoreCase: z.boolean().default(false).describe('Whether upper and lower case are the same.'),
  blocks: z.boolean().default(false).describe('Refuse the listed values instead of allowing only them; a rule may say otherwise in its params.'),
  validForMs: z.int().nonnegative().default(60_000).describe('How long an answer may be used again for the same value, in milliseconds. A changed file takes as long to be seen.'),
}).superRefine(({ kind, values, file }, context) => {
  if (values.length === 0 && file === undefined) context.addIssue({ code: 'custom', path: ['values'], message: 'expected values, a file, or both' });
  for (const [at, value] of values.entries()) {
    const problem = valueProblem(kind, value);
    if (problem !== undefined) context.addIssue({ code: 'custom', path: ['values', at], message: problem });
  }
});

export default defineAdapter({
  name: 'check-list',
  summary: 'Allows only the values on a list, or refuses them.',
  config,
  serves: {
    check: {
      params: z.strictObject({
        blocks: z.boolean().optional().describe('Refuse the listed values instead of allowing only them; as the handler\'s config where absent.'),
      }).optional(),
      input: { value: 'string' },
    },
  },
  selfContained: true,
  async open({ kind, values, file, ignoreCase, blocks, validForMs }, host) {
    const inFile = file === undefined ? undefined : await watchedFile(host, {
      path: file,
      parse: (text) => makeList(kind, [...values, ...valuesOf(text, kind)], ignoreCase),
    });
    const inline = makeList(kind, values, ignoreCase);
    const list = (): List => inFile?.current ?? inline;
    const allowed = allow({ validForMs });
    return {
      check: ({ params }) => {
        const isBlocking = params?.blocks ?? blocks;
        const why = isBlocking ? 'is on the list' : 'is not on the list';
        return ({ value }) => (list().has(value) === isBlocking
          ? deny(PERMISSION_DENIED, `${value.slice(0, SHOWN_CHARACTERS)} ${why}`, { validForMs })
          : allowed);
      },
    };
  },
});

function valuesOf(text: string, kind: Kind): string[] {
  return text.split(/\r?\n/).flatMap((line, at) => {
    const value = line.trim();
    if (value === '' || value.startsWith('#')) return [];
    const problem = valueProblem(kind, value);
    if (problem !== undefined) throw new Error(`line ${at + 1}: ${problem}`);
    return [value];
  });
}
