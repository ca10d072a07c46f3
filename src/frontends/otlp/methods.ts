/**
 * opentelemetry.proto.collector.logs.v1.LogsService: log records, and entries of Envoy's access logs, that are acknowledged.
 * **In**: export requests. **Out**: records to the engine; a response when they are safe, with the number of rejected ones.
 * **Fails**: INVALID_ARGUMENT for a malformed request; RESOURCE_EXHAUSTED with a RetryInfo while a queue is full.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { Engine } from '../../core/call.ts';
import type { Method } from '../../transport/transport.ts';
import type { FrontendOptions } from '../frontend-options.ts';
import {
  type ExportLogsServiceResponse,
  ExportLogsServiceResponseSchema,
  LogsService,
} from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import { type Exported, logExporter } from './export.ts';

const ACCEPTED = new Uint8Array();

export const responseOf = ({ rejected, why }: Exported): ExportLogsServiceResponse =>
  create(
    ExportLogsServiceResponseSchema,
    rejected === 0 ? {} : { partialSuccess: { rejectedLogRecords: BigInt(rejected), errorMessage: why } },
  );

const encoded = (exported: Exported): Uint8Array =>
  exported.rejected === 0 ? ACCEPTED : toBinary(ExportLogsServiceResponseSchema, responseOf(exported));

export function otlpMethods(engine: Engine, options: FrontendOptions = {}): [path: string, method: Method][] {
  const take = logExporter(engine, options);
  return [
    [
      `/${LogsService.typeName}/Export`,
      {
        kind: 'unary',
        handle(request, context) {
          const exported = take(request, context);
          return exported instanceof Promise ? exported.then(encoded) : encoded(exported);
        },
      },
    ],
  ];
}
