/** Allows only the values on a list, or denies them. */
import { z } from 'zod';
import {
  allow,
  defineAdapter,
  deny,
  PERMISSION_DENIED,
  type Turn,
  turns,
  Unavailable,
  watchedFile,
} from 'sluice/plugin';
import { checkServer, serverShape } from '../http/config.ts';
import { Readiness } from '../http/readiness.ts';
import { valuesOf } from './lines.ts';
import { type List, makeList, patternsProblem, shownValue, valueProblem } from './list.ts';

const config = z
  .strictObject({
    kind: z
      .enum(['string', 'prefix', 'host', 'cidr', 'regex'])
      .default('string')
      .describe(
        'How values match. string: equal. prefix: the value begins with it. host: the same host, ignoring case, port, trailing dot and the ' +
          'spelling of an IPv6 address; text that names no host is an error; ' +
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
    url: z
      .string()
      .optional()
      .describe(
        'A URL with more values, in the form of the file, loaded again every refreshMs; the last good list stays in force. ' +
          'Until the first is loaded, the list of the file is in force; without a file calls fail, and onError decides. ' +
          'Redirects are not followed. Each worker loads its own.',
      )
      .meta({ examples: ['https://lists.internal/revoked.txt'] }),
    refreshMs: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(60_000)
      .describe(
        'How often the url is loaded, give or take a tenth; a service that sends ETag or Last-Modified is asked for changes only. ' +
          'After a failure it is tried again sooner, with back-off.',
      ),
    downloadTimeoutMs: z.int().min(1).max(600_000).default(10_000).describe('How long a download may take.'),
    ...serverShape,
    maxFileBytes: z
      .int()
      .min(1)
      .max(64 * 1024 * 1024)
      .default(4 * 1024 * 1024)
      .describe('A larger file is invalid, from the url too.'),
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
  .check(checkServer)
  .superRefine(({ kind, values, file, url, ignoreCase, maxLength }, context) => {
    if (values.length === 0 && file === undefined && url === undefined)
      context.addIssue({ code: 'custom', path: ['values'], message: 'expected values, a file or a url' });
    for (const [at, value] of values.entries()) {
      const problem = valueProblem(kind, value);
      if (problem !== undefined) context.addIssue({ code: 'custom', path: ['values', at], message: problem });
    }
    if (kind !== 'regex' || context.issues.length > 0) return;
    const message = patternsProblem(values, { ignoreCase, maxLength });
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['values'], message });
  });

const EMPTY = 'it is empty; if that is intended, write a comment into it';

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
  selfContained: ({ url }) => url === undefined,
  async open(options, host) {
    const { kind, values, file, url, maxFileBytes: maxBytes, blocks } = options;
    const readiness = new Readiness(host);
    const parse = async (text: string, turn: Turn): Promise<List> =>
      makeList(kind, [...values, ...(await valuesOf(text, kind, turn))], options, turn);
    const inFile =
      file === undefined ? undefined : await watchedFile(readiness.hostFor('file'), { path: file, maxBytes, parse });
    const inline = url === undefined && file === undefined ? await makeList(kind, values, options, turns()) : undefined;
    const first = (): List | undefined => inFile?.current ?? inline;
    const remote =
      url === undefined
        ? undefined
        : await (
            await import('../http/remote-document.ts')
          ).openRemoteDocument(
            {
              ...options,
              url,
              what: 'list',
              accept: 'text/plain, */*',
              maxBytes,
              parse: (text, turn) => {
                if (text.trim() === '') throw new Error(EMPTY);
                return parse(text, turn);
              },
              failures: host.metrics.counter(
                'list_refresh_failures',
                'Downloads of a list that failed; the last good one stayed in use.',
              ),
              onState: (why) => readiness.set('url', inFile === undefined ? why : undefined),
            },
            readiness.hostFor('certificates'),
          );
    const list = (): List => {
      const current = remote?.current ?? first();
      if (current === undefined) throw new Unavailable(`the list is not loaded: ${remote?.why ?? ''}`);
      return current;
    };
    const allowed = allow();
    return {
      check: ({ params }) => {
        const isBlocking = params?.blocks ?? blocks;
        const why = isBlocking ? 'is on the list' : 'is not on the list';
        return ({ value }) =>
          list().has(value) === isBlocking ? deny(PERMISSION_DENIED, `${shownValue(value)} ${why}`) : allowed;
      },
      close: () => remote?.close(),
    };
  },
});
