/**
 * Runs a case over real gRPC: the engine behind the frontends on a separate port, called as by Envoy.
 * **In**: an engine. **Out**: a driver that decodes the answers from protobuf. **Fails**: if no wire carries an attribute of the case.
 */
import { queryOf } from '../../attributes/url.ts';
import { type JsonObject, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Engine, NetHeaders, Outcome } from '../../core/call.ts';
import { AccessLogService, StreamAccessLogsMessageSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import {
  Authorization,
  CheckRequestSchema,
  type CheckResponse,
  CheckResponseSchema,
} from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  type RateLimitRequest,
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponseSchema,
  RateLimitResponse_Code,
  RateLimitService,
} from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import {
  ExportLogsServiceRequestSchema,
  LogsService,
} from '../../../gen/opentelemetry/proto/collector/logs/v1/logs_service_pb.ts';
import {
  MetricsService,
  StreamMetricsMessageSchema,
} from '../../../gen/envoy/service/metrics/v3/metrics_service_pb.ts';
import type { HeaderValueOption } from '../../../gen/envoy/config/core/v3/base_pb.ts';
import { GrpcError, type GrpcClient, dialGrpc, listen } from '../../transport/index.ts';
import { checkMetadata, checkRequest } from '../call/check-request.ts';
import { limitRequest } from '../call/limit-request.ts';
import { logRequest } from '../call/log-request.ts';
import { metricRequest } from '../call/metric-request.ts';
import { otlpLogRequest } from '../call/otlp-log-request.ts';
import { methodsOf } from '../../serve/policy/methods.ts';
import { CASE_MS, type Driver } from './driver.ts';
import type { Case } from './schema.ts';
import type { ObservedCheck, ObservedLimit } from './observed.ts';

const NO_CHANGES: NetHeaders = { set: [], append: [], remove: [] };

export async function overGrpc(
  engine: Engine,
): Promise<{ readonly driver: Driver; readonly end: () => Promise<void> }> {
  const transport = await listen(
    methodsOf(engine, () => true),
    { host: '127.0.0.1', port: 0, maxMessageBytes: 4 * 1024 * 1024, onFault: () => undefined },
  );
  const client = dialGrpc(`127.0.0.1:${transport.port}`);
  return {
    driver: async (one) => drive(client, one),
    end: async () => {
      client.close();
      await transport.drain(1000);
    },
  };
}

async function drive(client: GrpcClient, one: Case): Promise<ObservedCheck | ObservedLimit | undefined> {
  const [first] = one.requests;
  switch (one.call) {
    case 'http':
    case 'tcp': {
      const request = asked(one, first);
      const bytes = toBinary(CheckRequestSchema, checkRequest(request));
      const options = { timeoutMs: CASE_MS, metadata: checkMetadata(request) };
      return answered(
        async () =>
          observedCheck(
            fromBinary(CheckResponseSchema, await client.unary(`/${Authorization.typeName}/Check`, bytes, options)),
          ),
        ERROR_CHECK,
      );
    }
    case 'limit': {
      const bytes = toBinary(RateLimitRequestSchema, joined(one.requests.map((request) => limitRequest(request))));
      return answered(
        async () =>
          observedLimit(
            fromBinary(
              RateLimitResponseSchema,
              await client.unary(`/${RateLimitService.typeName}/ShouldRateLimit`, bytes, { timeoutMs: CASE_MS }),
            ),
          ),
        ERROR_LIMIT,
      );
    }
    case 'log':
    case 'tcp-log':
    case 'log-interim':
    case 'tcp-log-interim': {
      const bytes = toBinary(StreamAccessLogsMessageSchema, logRequest(asked(one, first)));
      await sendStream(client, `/${AccessLogService.typeName}/StreamAccessLogs`, bytes);
      return undefined;
    }
    case 'envoy-metric': {
      const bytes = toBinary(StreamMetricsMessageSchema, metricRequest(asked(one, first)));
      await sendStream(client, `/${MetricsService.typeName}/StreamMetrics`, bytes);
      return undefined;
    }
    case 'authzen':
      throw new Error('AuthZEN is asked over HTTP; this case is driven in process');
    case 'otlp-log': {
      const bytes = toBinary(ExportLogsServiceRequestSchema, otlpLogRequest(asked(one, first)));
      await client.unary(`/${LogsService.typeName}/Export`, bytes, { timeoutMs: CASE_MS });
      return undefined;
    }
  }
}

/** Reads up to the status at its end. */
async function sendStream(client: GrpcClient, path: string, message: Uint8Array): Promise<void> {
  for await (const _reply of client.stream(path, [message], { timeoutMs: CASE_MS }));
}

function asked({ call, carried }: Case, given: Readonly<Record<string, unknown>> = {}): JsonObject {
  return { call, ...given, ...carried } as JsonObject;
}

function joined(requests: readonly RateLimitRequest[]): RateLimitRequest {
  const [first] = requests;
  if (first === undefined) throw new Error('a case makes at least one request');
  return { ...first, descriptors: requests.flatMap(({ descriptors }) => descriptors) };
}

/** UNAVAILABLE is the status of an error; a case cannot expect any other status. */
async function answered<T extends ObservedCheck | ObservedLimit>(ask: () => Promise<T>, error: T): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    if (thrown instanceof GrpcError && thrown.code === 14) return error;
    throw thrown;
  }
}

const ERROR_CHECK: ObservedCheck = {
  kind: 'check',
  outcome: 'error',
  rule: undefined,
  status: 503,
  body: '',
  headers: [],
  request: NO_CHANGES,
  response: NO_CHANGES,
  query: { set: [], remove: [] },
  metadata: [],
  shadow: [],
  reasons: [],
};
const ERROR_LIMIT: ObservedLimit = {
  kind: 'limit',
  outcome: 'error',
  rule: undefined,
  statuses: [],
  response: NO_CHANGES,
  shadow: [],
  reasons: [],
};

interface VerdictMetadata {
  readonly outcome: Outcome;
  readonly rule: string | undefined;
  readonly shadow: readonly string[];
  readonly metadata: readonly (readonly [string, string])[];
}

function verdictIn(metadata: JsonObject | undefined): VerdictMetadata {
  const { sluice, ...rest } = metadata ?? {};
  const { outcome, rule, shadow } = (sluice ?? {}) as { outcome?: Outcome; rule?: string; shadow?: string[] };
  return {
    outcome: outcome ?? 'allow',
    rule: rule === '' ? undefined : rule,
    shadow: shadow ?? [],
    metadata: Object.entries(rest).map(([name, value]) => [name, String(value as string)]),
  };
}

function changesOf(options: readonly HeaderValueOption[], remove: readonly string[] = []): NetHeaders {
  const pairs = options.map(({ header, append }) => ({
    pair: [header?.key ?? '', header?.value ?? ''] as const,
    append: append === true,
  }));
  return {
    set: pairs.filter(({ append }) => !append).map(({ pair }) => pair),
    append: pairs.filter(({ append }) => append).map(({ pair }) => pair),
    remove,
  };
}

function observedCheck({ status, dynamicMetadata, httpResponse }: CheckResponse): ObservedCheck {
  const verdict = verdictIn(dynamicMetadata);
  const ok = httpResponse.case === 'okResponse' ? httpResponse.value : undefined;
  const denied = httpResponse.case === 'deniedResponse' ? httpResponse.value : undefined;
  const isAllowed = (status?.code ?? 0) === 0;
  if (isAllowed !== (verdict.outcome === 'allow'))
    throw new Error(`the status is ${status?.code}, the metadata has ${verdict.outcome}`);
  const set = (ok?.queryParametersToSet ?? []).map(
    ({ key, value }) => [decodeURIComponent(key), decodeURIComponent(value)] as const,
  );
  // Each spelling of a name that the request has is removed, of names that are set as well.
  const remove = [...new Set((ok?.queryParametersToRemove ?? []).map(parameterName))].filter(
    (name) => !set.some(([key]) => key === name),
  );
  return {
    kind: 'check',
    ...verdict,
    reasons: [],
    status: isAllowed ? 200 : (denied?.status?.code ?? 403),
    body: denied?.body ?? '',
    headers: changesOf(denied?.headers ?? []).set,
    request: changesOf(ok?.headers ?? [], ok?.headersToRemove),
    response: changesOf(ok?.responseHeadersToAdd ?? []),
    query: { set, remove },
  };
}

const parameterName = (spelling: string): string => queryOf(`?${spelling}`).keys().next().value ?? '';

function observedLimit({ statuses, dynamicMetadata, responseHeadersToAdd }: RateLimitResponse): ObservedLimit {
  const verdict = verdictIn(dynamicMetadata);
  return {
    kind: 'limit',
    outcome: verdict.outcome,
    rule: verdict.rule,
    shadow: verdict.shadow,
    reasons: [],
    statuses: statuses.map(({ code, currentLimit, limitRemaining, durationUntilReset }) => {
      const over = code === RateLimitResponse_Code.OVER_LIMIT;
      return {
        over,
        rule: currentLimit?.name || (over ? verdict.rule : undefined),
        limit: currentLimit?.requestsPerUnit ?? 0,
        remaining: limitRemaining,
        resetSeconds: Number(durationUntilReset?.seconds ?? 0n),
      };
    }),
    response: { ...NO_CHANGES, set: responseHeadersToAdd.map(({ key, value }) => [key, value]) },
  };
}
