/**
 * The client of `sluice call`: sends real gRPC calls to a running server.
 * **In**: an address, and a request from YAML or JSON: the message's own JSON form, or attribute names. **Out**: an {@link Answer}.
 * **Fails**: with a CliError if the request is invalid; an error of the server is an answer.
 */
import { stringify } from 'yaml';
import { fromBinary, toBinary, toJson, type DescMessage, type JsonValue, type MessageShape } from '@bufbuild/protobuf';
import { AccessLogService, StreamAccessLogsMessageSchema } from '../../../gen/envoy/service/accesslog/v3/als_pb.ts';
import {
  Authorization,
  CheckRequestSchema,
  CheckResponseSchema,
} from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import {
  RateLimitRequestSchema,
  RateLimitResponse_Code,
  RateLimitResponseSchema,
  RateLimitService,
} from '../../../gen/envoy/service/ratelimit/v3/rls_pb.ts';
import { dialGrpc, type DialTls, GrpcError, Status, statusName, type GrpcClient } from '../../transport/index.ts';
import { CliError } from '../cli-error.ts';
import { checkMetadata, checkRequest } from './check-request.ts';
import { limitRequest } from './limit-request.ts';
import { logRequest } from './log-request.ts';
import { messageOf } from '../../text/message-of.ts';

export interface Answer {
  readonly kind: 'check' | 'limit' | 'log';
  /** `error`: the call ended with a gRPC status other than OK. */
  readonly outcome: 'allow' | 'deny' | 'ok' | 'over' | 'taken' | 'error';
  readonly grpc: { readonly code: number; readonly name: string; readonly message: string };
  readonly tookMs: number;
  /** The response in protobuf's JSON form, if any. */
  readonly response: JsonValue | undefined;
}

export interface CallOptions {
  /** Default 5 s. */
  readonly timeoutMs?: number;
  /** Default: cleartext. */
  readonly tls?: DialTls;
  /** Sent as gRPC metadata (Envoy's initial_metadata). */
  readonly metadata?: Readonly<Record<string, string>>;
}

export async function callCheck(address: string, request: unknown, options: CallOptions = {}): Promise<Answer> {
  const bytes = encoded(CheckRequestSchema, () => checkRequest(request));
  const metadata = { ...checkMetadata(request), ...options.metadata };
  return ask('check', address, { ...options, metadata }, async (client, sent) => {
    const response = fromBinary(
      CheckResponseSchema,
      await client.unary(`/${Authorization.typeName}/Check`, bytes, sent),
    );
    return {
      outcome: (response.status?.code ?? 0) === 0 ? 'allow' : 'deny',
      response: toJson(CheckResponseSchema, response),
    };
  });
}

export async function callLimit(address: string, request: unknown, options: CallOptions = {}): Promise<Answer> {
  const bytes = encoded(RateLimitRequestSchema, () => limitRequest(request));
  return ask('limit', address, options, async (client, sent) => {
    const response = fromBinary(
      RateLimitResponseSchema,
      await client.unary(`/${RateLimitService.typeName}/ShouldRateLimit`, bytes, sent),
    );
    return {
      outcome: response.overallCode === RateLimitResponse_Code.OVER_LIMIT ? 'over' : 'ok',
      response: toJson(RateLimitResponseSchema, response),
    };
  });
}

/** Streams one message; `taken`: the server has read it to its end. */
export async function callLog(address: string, request: unknown, options: CallOptions = {}): Promise<Answer> {
  const bytes = encoded(StreamAccessLogsMessageSchema, () => logRequest(request));
  return ask('log', address, options, async (client, sent) => {
    for await (const _reply of client.stream(`/${AccessLogService.typeName}/StreamAccessLogs`, [bytes], sent)); // until its status
    return { outcome: 'taken', response: undefined };
  });
}

type Result = Pick<Answer, 'outcome' | 'response'>;

async function ask(
  kind: Answer['kind'],
  address: string,
  { timeoutMs = 5000, metadata = {}, tls }: CallOptions,
  call: (
    client: GrpcClient,
    sent: { readonly timeoutMs: number; readonly metadata: Readonly<Record<string, string>> },
  ) => Promise<Result>,
): Promise<Answer> {
  const client = dialGrpc(address, tls === undefined ? {} : { tls });
  const began = performance.now();
  const tookMs = (): number => Math.round((performance.now() - began) * 100) / 100;
  try {
    const result = await call(client, { timeoutMs, metadata });
    return { kind, ...result, grpc: { code: Status.OK, name: 'OK', message: '' }, tookMs: tookMs() };
  } catch (error) {
    if (!(error instanceof GrpcError)) throw error;
    return {
      kind,
      outcome: 'error',
      grpc: { code: error.code, name: statusName(error.code) ?? `code ${error.code}`, message: error.message },
      tookMs: tookMs(),
      response: undefined,
    };
  } finally {
    client.close();
  }
}

function encoded<Desc extends DescMessage>(schema: Desc, make: () => MessageShape<Desc>): Uint8Array {
  try {
    return toBinary(schema, make());
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('CLI_REQUEST_FILE', `the request is not a valid ${schema.typeName}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const WORDS: Readonly<Record<Exclude<Answer['outcome'], 'error'>, string>> = {
  allow: 'allowed',
  deny: 'denied',
  ok: 'within limits',
  over: 'over limit',
  taken: 'taken',
};

/** For people: a line with the outcome, then the message as YAML. */
export function formatAnswer(answer: Answer): string {
  const { outcome, grpc, tookMs, response } = answer;
  const line = outcome === 'error' ? `no answer: ${grpc.name}: ${grpc.message}` : WORDS[outcome];
  const isEmpty = response === undefined || JSON.stringify(response) === '{}';
  return `${line} (${tookMs} ms)\n${isEmpty ? '' : stringify(response)}`;
}
