/** Reports as documents of Elasticsearch or OpenSearch, by their bulk API. */
import { z } from 'zod';
import { defineAdapter, report, type ReportEntry } from 'sluice/plugin';
import { checkServer, serverShape } from '../http/config.ts';
import { indexNamer, indexProblem } from './index-name.ts';

const indexSchema = z.string().superRefine((template, context) => {
  const message = indexProblem(template);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});
const configSchema = z
  .strictObject({
    url: z
      .string()
      .describe('Elasticsearch or OpenSearch, http or https; /_bulk is appended to its path.')
      .meta({ examples: ['https://127.0.0.1:9200'] }),
    index: indexSchema
      .describe(
        'An index, or a data stream. {yyyy.MM.dd} is the date of the report in UTC; also HH. A report that is sent again goes to the same index.',
      )
      .meta({ examples: ['access-{yyyy.MM.dd}'] }),
    apiKey: z
      .string()
      .min(1)
      .optional()
      .describe('An API key in its encoded form, best as { $env: NAME }.')
      .meta({ secret: true }),
    username: z.string().min(1).optional().describe('User, with a password; instead of an API key.'),
    password: z.string().min(1).optional().describe('Password, best as { $env: NAME }.').meta({ secret: true }),
    ...serverShape,
    compression: z.enum(['gzip', 'none']).default('gzip').describe('Compression of requests.'),
    maxRequestBytes: z
      .int()
      .min(1024)
      .max(100 * 1024 * 1024)
      .default(8 * 1024 * 1024)
      .describe("Maximum size of a request before compression. Elasticsearch's own bound is 100 MiB."),
  })
  .check(checkServer)
  .check(({ value: { apiKey, username, password, headers }, issues }) => {
    const wrong = (path: string, message: string): void => {
      issues.push({ code: 'custom', path: [path], message, input: undefined });
    };
    if ((username === undefined) !== (password === undefined)) wrong('username', 'username and password go together');
    if (apiKey !== undefined && username !== undefined) wrong('apiKey', 'give an API key, or username and password');
    const isGiven = Object.keys(headers).some((name) => name.toLowerCase() === 'authorization');
    if (isGiven && (apiKey ?? username) !== undefined)
      wrong('headers', 'has authorization, as have apiKey and username; give one of them');
  });
export type ElasticsearchConfig = z.output<typeof configSchema>;

const paramsSchema = z.strictObject({
  index: indexSchema.optional().describe("The rule's own index or data stream. Default: the handler's."),
});

/** The name of the index for a report of this time. */
export type IndexSink = (timeMs: number) => string;

export default defineAdapter({
  name: 'log-elasticsearch',
  summary:
    'Writes each report as a document of Elasticsearch or OpenSearch; the id of the report is that of the document.',
  config: configSchema,
  serves: {
    report: { params: paramsSchema, input: 'any', batch: { max: 1000, maxAgeMs: 1000, maxBytes: 4 * 1024 * 1024 } },
  },
  async open(config, host) {
    const { openBulkWriter } = await import('./bulk-writer.ts');
    const writer = await openBulkWriter(config, host);
    return {
      ...report<IndexSink, z.output<typeof paramsSchema>>({
        sink: ({ params }) => indexNamer(params.index ?? config.index),
        write: (entries: readonly ReportEntry<IndexSink>[], call) => writer.write(entries, call),
      }),
      close: () => writer.close(),
    };
  },
});
