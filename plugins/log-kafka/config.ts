/** Config of log-kafka. */
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import type { Host } from 'sluice/plugin';
import { z } from 'zod';
import { certificatesOf } from '../http/connector.ts';

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+)(:\d{1,5})?$/;

export const configSchema = z.strictObject({
  brokers: z
    .array(z.string().regex(ADDRESS, 'a broker is HOST:PORT'))
    .min(1)
    .describe(
      'Bootstrap brokers as HOST:PORT; the rest of the cluster is discovered from them. The default port is 9092.',
    ),
  topic: z
    .string()
    .regex(/^[a-zA-Z0-9._-]{1,249}$/, 'a topic is letters, digits, dot, underscore and hyphen, at most 249')
    .describe('The topic for the reports. It must exist.'),
  key: z
    .string()
    .min(1)
    .optional()
    .describe(
      "The field whose value becomes the message's key; reports with the same key keep their order. " +
        'Default: no key, and partitions are used in turn.',
    ),
  headers: z
    .record(z.string(), z.string())
    .default({})
    .describe('Headers of every message, in addition to sluice-id and sluice-rule.'),
  value: z
    .enum(['json', 'protobuf'])
    .default('json')
    .describe(
      'The value of a message: the fields as JSON, or a sluice.report.v1.Report (plugins/log-kafka/report.proto).',
    ),
  compression: z
    .enum(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
    .default('lz4')
    .describe('Compression of batches. lz4 costs next to nothing; gzip takes three times the CPU.'),
  clientId: z
    .string()
    .regex(/^\S+$/, 'a client id has no spaces')
    .default('sluice')
    .describe("The client id in the broker's logs and quotas."),
  unavailableAfterMs: z
    .int()
    .min(100)
    .max(300_000)
    .default(5000)
    .describe(
      'How long a batch waits for the broker before the handler is unavailable and the batch is queued for a retry. ' +
        'Its messages are still sent, and never written twice.',
    ),
  sasl: z
    .strictObject({
      mechanism: z.enum(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']).describe('The SASL mechanism.'),
      username: z.string().min(1).describe('The user name.'),
      password: z.string().min(1).meta({ secret: true, description: 'The password, preferably as { $env: NAME }.' }),
    })
    .optional()
    .describe('SASL credentials. Default: none.'),
  tls: z
    .union([
      z.boolean(),
      z.strictObject({
        ca: z.string().min(1).optional().describe("A PEM file of trusted certificate authorities. Default: Node's."),
        cert: z.string().min(1).optional().describe('A PEM file with the client certificate.'),
        key: z.string().min(1).optional().describe("A PEM file with the client certificate's private key."),
      }),
    ])
    .default(false)
    .describe('TLS to the brokers: true, or its certificate files. New connections use a renewed file.'),
});

export const paramsSchema = z.strictObject({
  key: z
    .string()
    .min(1)
    .optional()
    .describe("The field of this rule that is the message's key. Default: the key of the config."),
  headers: z
    .record(z.string().min(1), z.string().min(1))
    .default({})
    .describe('Headers from fields of this rule, as HEADER: FIELD; one whose field is absent is left out.')
    .meta({ examples: [{ route: 'route' }] }),
  leaveOut: z
    .array(z.string().min(1))
    .default([])
    .describe('Fields of this rule that are not part of the value, such as one that is its key only.'),
});

export type KafkaParams = z.output<typeof paramsSchema>;
export type KafkaConfig = z.output<typeof configSchema>;

/** Options whose certificates are the ones on disk at the moment of a connection; `undefined` without TLS. */
export async function tlsOptions({ tls }: KafkaConfig, host: Host): Promise<TlsOptions | undefined> {
  if (tls === false) return undefined;
  if (tls === true) return {};
  const current = await certificatesOf(tls, host);
  const read = (name: keyof ReturnType<typeof current>) => ({ enumerable: true, get: () => current()[name] });
  return Object.defineProperties({}, { ca: read('ca'), cert: read('cert'), key: read('key') });
}
