/** Config of every plugin that sends by OTLP. */
import { z } from 'zod';
import { serverShape } from '../http/config.ts';

export const otlpShape = {
  url: z
    .string()
    .describe(
      'The collector, http or https: for http its base, to which /v1/logs, /v1/traces or /v1/metrics is appended unless it has a path; ' +
        'for grpc host and port.',
    )
    .meta({ examples: ['http://127.0.0.1:4318'] }),
  protocol: z
    .enum(['http', 'grpc'])
    .default('http')
    .describe('OTLP over HTTP with protobuf (usually port 4318), or over gRPC (4317).'),
  ...serverShape,
  compression: z.enum(['gzip', 'none']).default('gzip').describe('Compression of requests.'),
  resource: z
    .record(z.string().min(1), z.string())
    .default({})
    .describe(
      'Attributes of the resource of all entries, such as deployment.environment.name. Default: service.name is sluice where a rule ' +
        'gives no resource.service.name.',
    ),
  maxRequestBytes: z
    .int()
    .min(1024)
    .max(64 * 1024 * 1024)
    .default(4 * 1024 * 1024)
    .describe(
      'Maximum size of a request before compression. Collectors refuse more than 4 MiB unless configured otherwise.',
    ),
};
const schema = z.strictObject(otlpShape);
export type OtlpConfig = z.output<typeof schema>;

export type Signal = 'logs' | 'traces' | 'metrics';
