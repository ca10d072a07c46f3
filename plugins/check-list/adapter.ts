/** Allows only the values on a list, or denies them. */
import { z } from 'zod';
import { allow, defineAdapter, deny, PERMISSION_DENIED, type Turn, watchedFile } from 'sluice/plugin';
import { type Kind, type List, makeList, shownValue, valueProblem } from './list.ts';

const config = z
  .strictObject({
    kind: z
      .enum(['string', 'prefix', 'host', 'cidr', 'regex'])
      .default('string')
      .describe(
        'How values match. string: equal. prefix: the value begins with it. host: the same host, ignoring case, port and trailing dot; ' +
          '`*.example.com` is all names below it. cidr: an IP address in the network. ' +
          'regex: an RE2 pattern found anywhere in the value (anchor with ^ and $).',
      ),
    values: z
      .array(z.string().min(1))
      .default([])
      .describe('The values on the list.')
      .meta({ examples: [['ann', 'bob']] }),
    file: z
      .string()
      .min(1)
      .optional()
      .describe(
        'A file with more values, one per line; empty lines and lines that begin with # are skipped. The file is watched; ' +
          'the last good list stays in force while it is invalid, empty or missing. It is read one second after its last change; ' +
          'to replace a large file, write a new one and rename it.',
      )
      .meta({ examples: ['offices.txt'] }),
    maxFileBytes: z
      .int()
      .min(1)
      .max(64 * 1024 * 1024)
      .default(4 * 1024 * 1024)
      .describe('A larger file is invalid.'),
    maxLength: z
      .int()
      .min(1)
      .max(1024 * 1024)
      .default(4096)
      .describe(
        'For kind regex: the longest value that is matched, in characters. A longer value fails the rule (its onError decides), ' +
          'since clients choose the value and matching takes time in proportion to its length.',
      ),
    ignoreCase: z.boolean().default(false).describe('Match without regard to case.'),
    blocks: z
      .boolean()
      .default(false)
      .describe('Deny the listed values instead of allowing only them. A rule may override this in its params.'),
  })
  .superRefine(({ kind, values, file, ignoreCase, maxLength }, context) => {
    if (values.length === 0 && file === undefined)
      context.addIssue({ code: 'custom', path: ['values'], message: 'expected values, a file, or both' });
    for (const [at, value] of values.entries()) {
      const problem = valueProblem(kind, value);
      if (problem !== undefined) context.addIssue({ code: 'custom', path: ['values', at], message: problem });
    }
    if (context.issues.length > 0) return;
    try {
      makeList(kind, values, { ignoreCase, maxLength });
    } catch (error) {
      context.addIssue({
        code: 'custom',
        path: ['values'],
        message: error instanceof Error ? error.message : String(error),
      });
    }
  });

export default defineAdapter({
  name: 'check-list',
  summary: 'Allows only the values on a list, or denies them.',
  config,
  serves: {
    check: {
      params: z
        .strictObject({
          blocks: z
            .boolean()
            .optional()
            .describe("Deny the listed values instead of allowing only them. Default: the handler's config."),
        })
        .optional(),
      input: { value: 'string' },
    },
  },
  selfContained: true,
  async open({ kind, values, file, maxFileBytes, maxLength, ignoreCase, blocks }, host) {
    const inFile =
      file === undefined
        ? undefined
        : await watchedFile(host, {
            path: file,
            maxBytes: maxFileBytes,
            parse: async (text, turn) =>
              makeList(kind, [...values, ...(await valuesOf(text, kind, turn))], { ignoreCase, maxLength }),
          });
    const inline = makeList(kind, values, { ignoreCase, maxLength });
    const list = (): List => inFile?.current ?? inline;
    const allowed = allow();
    return {
      check: ({ params }) => {
        const isBlocking = params?.blocks ?? blocks;
        const why = isBlocking ? 'is on the list' : 'is not on the list';
        return ({ value }) =>
          list().has(value) === isBlocking ? deny(PERMISSION_DENIED, `${shownValue(value)} ${why}`) : allowed;
      },
    };
  },
});

async function valuesOf(text: string, kind: Kind, turn: Turn): Promise<string[]> {
  const values: string[] = [];
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const value = line.trim();
    if (value === '' || value.startsWith('#')) continue;
    if (/\s#/.test(value))
      throw new Error(
        `line ${at + 1}: "${shownValue(value)}" has a comment after the value; write comments on separate lines that begin with #`,
      );
    const problem = valueProblem(kind, value);
    if (problem !== undefined) throw new Error(`line ${at + 1}: ${problem}`);
    values.push(value);
    const wait = turn();
    if (wait !== undefined) await wait;
  }
  return values;
}
